"""Passages found by meaning only, in the order of the LLM service's cross-encoder."""

from collections.abc import AsyncIterator

import pytest

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.documents import Document
from adapters.supabase_adapter import SupabaseAdapter
from observability.metrics import Metrics
from services.library.ingestion import DocumentIngestor
from services.question_vectors import QuestionEmbedder
from services.text_retrieval import TextRetriever
from tests.fake_llm_service import FakeLLMService
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio
TEXTS = {
    "words": "El zorro duerme en su cueva todo el invierno largo.",
    "short": "Un animal caza.",
    "middle": "Un animal caza de noche.",
    "long": "Un animal caza de noche y nada despierta al pueblo.",
}
EMBEDDER = FakeEmbedder(synonyms={"zorro": "animal", "captura": "caza"})
QUESTION = "¿Qué captura el zorro?"


@pytest.fixture
async def ranker(service: FakeLLMService) -> AsyncIterator[LLMServiceAdapter]:
    adapter = LLMServiceAdapter(ServiceConfig(urls=(service.url,)))
    yield adapter
    await adapter.close()


async def found(store: SupabaseAdapter, ranker: LLMServiceAdapter | None) -> list[tuple[str, float]]:
    retriever = TextRetriever(store, QuestionEmbedder(EMBEDDER), 0.0, Metrics(), ranker)
    return [(hit.id, hit.score) for hit in (await retriever.retrieve(QUESTION, 10)).hits]


@pytest.fixture
async def filled(store: SupabaseAdapter) -> SupabaseAdapter:
    await DocumentIngestor(store, EMBEDDER).ingest([Document(name, "text", text) for name, text in TEXTS.items()])
    return store


async def test_what_was_found_by_meaning_only_is_ordered_by_the_cross_encoder(
    filled: SupabaseAdapter, ranker: LLMServiceAdapter, service: FakeLLMService
) -> None:
    before, after = await found(filled, None), await found(filled, ranker)
    assert [name for name, _ in before if name != "words"] == ["short", "middle", "long"]
    assert [name for name, _ in after if name != "words"] == ["long", "middle", "short"]
    assert [score for _, score in after] == [score for _, score in before]
    assert [name for name, _ in after].index("words") == [name for name, _ in before].index("words")
    (call,) = service.calls
    assert call["body"]["query"] == QUESTION
    assert TEXTS["words"] not in call["body"]["documents"]


@pytest.mark.parametrize("mode", ["501", "500", "busy_long", "401", "fields", "garbage", "slow"])
async def test_a_cross_encoder_that_fails_changes_nothing(
    filled: SupabaseAdapter, ranker: LLMServiceAdapter, service: FakeLLMService, mode: str
) -> None:
    before = await found(filled, None)
    service.mode, service.delay_s = mode, 60 if mode == "slow" else 0
    assert await found(filled, ranker) == before
    assert service.paths()


async def test_a_service_without_a_cross_encoder_is_healthy_and_nothing_is_logged(
    filled: SupabaseAdapter, ranker: LLMServiceAdapter, service: FakeLLMService, caplog: pytest.LogCaptureFixture
) -> None:
    service.mode = "501"
    for _ in range(5):
        await found(filled, ranker)
    assert list(ranker.circuits().values()) == ["closed"]
    assert [record for record in caplog.records if record.name.startswith(("services", "adapters.llm_service"))] == []
