"""The spans of the backend's calls and searches.

Traces through both apps to a collector: ``tests/test_traces.py`` in the repository's root.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from opentelemetry.trace import SpanKind

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.documents import Document
from adapters.ports.models import ChatMessage, Completion, LogicalError, SamplingOptions, TechnicalError
from adapters.supabase_adapter import SupabaseAdapter
from services.mentor.questions.parser import parse_query
from services.retrieval import Retriever
from tests.fake_llm_service import FakeLLMService
from tests.fakes import FakeEmbedder
from tests.recorded_spans import events, failed, traced_request, traceparent

pytestmark = pytest.mark.anyio
QUESTION: list[ChatMessage] = [{"role": "user", "content": "¿Cómo se dice perro?"}]
GREEDY = SamplingOptions(max_new_tokens=9, temperature=0.0)


@pytest.fixture
async def adapter(service: FakeLLMService) -> AsyncIterator[LLMServiceAdapter]:
    names = {"language_model": "some/llm", "embedding_model": "some/minilm", "rerank_model": "some/ranker"}
    made = LLMServiceAdapter(ServiceConfig(urls=(service.url,), timeout_s=10, **names))  # type: ignore[arg-type]
    yield made
    await made.close()


async def test_each_try_is_a_span_that_the_service_goes_on_from(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode, service.faults_left = "busy", 1
    with traced_request() as spans:
        await adapter.complete(QUESTION, GREEDY)
    first, second = spans.children()
    assert [(span.name, span.kind) for span in (first, second)] == [("chat some/llm", SpanKind.CLIENT)] * 2
    assert (failed(first), first.attributes["error.type"]) == (True, "overloaded")
    assert not failed(second)
    assert second.attributes["gen_ai.request.max_tokens"] == 9
    assert second.attributes["gen_ai.request.temperature"] == 0.0
    assert second.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert second.attributes["server.port"] == service.port
    sent = [call["headers"]["traceparent"] for call in service.calls]
    assert sent == [traceparent(first), traceparent(second)]


async def test_vectors_are_a_span(adapter: LLMServiceAdapter) -> None:
    with traced_request() as spans:
        await adapter.embed_texts(["perro", "gato"])
    (call,) = spans.children()
    assert (call.name, call.kind) == ("embeddings some/minilm", SpanKind.CLIENT)
    assert (call.attributes["gen_ai.embeddings.dimension.count"], call.attributes["app.texts"]) == (384, 2)


async def test_ranking_is_a_span(adapter: LLMServiceAdapter) -> None:
    with traced_request() as spans:
        await adapter.rank_texts("perro", ["perro", "gato"])
    (call,) = spans.children()
    assert (call.name, call.attributes["gen_ai.operation.name"]) == ("rerank some/ranker", "rerank")


async def test_a_stream_ends_its_span_with_the_answer(adapter: LLMServiceAdapter) -> None:
    with traced_request() as spans:
        async with aclosing(adapter.stream(QUESTION, GREEDY)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    break  # leaves before the last event
    (call,) = spans.children()
    assert (failed(call), "app.cancelled" in call.attributes) == (False, False)
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0


async def test_a_caller_who_leaves_a_stream_ends_its_span(adapter: LLMServiceAdapter) -> None:
    with traced_request() as spans:
        async with aclosing(adapter.stream(QUESTION, GREEDY)) as parts:
            await anext(parts)
    (call,) = spans.children()
    assert (failed(call), call.attributes["app.cancelled"]) == (False, True)


async def test_a_refusal_is_named_by_its_type(adapter: LLMServiceAdapter, service: FakeLLMService) -> None:
    service.mode = "400"
    with traced_request() as spans, pytest.raises(LogicalError):
        await adapter.complete(QUESTION, GREEDY)
    assert spans.children()[0].attributes["error.type"] == "context_length_exceeded"


async def test_an_answer_of_another_shape_breaks_no_request(
    adapter: LLMServiceAdapter, service: FakeLLMService
) -> None:
    service.mode = "fields"
    with traced_request() as spans, pytest.raises(TechnicalError):
        await adapter.complete(QUESTION, GREEDY)
    assert {span.attributes["error.type"] for span in spans.children()} == {"protocol"}


@pytest.mark.parametrize(("failing", "mode"), [(False, "words_and_meaning"), (True, "words")])
async def test_a_search_says_how_it_was_made_and_not_for_what(store: SupabaseAdapter, failing: bool, mode: str) -> None:
    embedder = FakeEmbedder()
    await store.upsert([Document("1", "phrase", "perro: oohííbye")])
    embedder.failing = failing
    with traced_request() as spans:
        await Retriever(store, embedder).retrieve(parse_query("¿Cómo se dice perro en bora?"), 5)
    (retrieval,) = spans.children()
    assert retrieval.attributes == {
        "gen_ai.operation.name": "retrieval",
        "app.retrieval.mode": mode,
        "app.retrieval.results": 1,
    }
    assert events(retrieval) == ([("fallback", {"reason": "connect"})] if failing else [])
    searches = spans.children(retrieval)
    assert [search.attributes["db.system.name"] for search in searches] == ["postgresql"] * (1 if failing else 2)
    for span in spans.all():
        assert "perro" not in f"{span.name}{span.attributes}{events(span)}"
