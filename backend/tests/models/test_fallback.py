"""Who is asked for vectors, and when nobody else is; for answers: ``test_rag_api``."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.fallback import FallbackChain
from adapters.ports.models import (
    ChatMessage,
    Completion,
    Embeddings,
    InputType,
    LogicalError,
    RateLimited,
    SamplingOptions,
    ServedBy,
    TechnicalError,
    TextDelta,
)

pytestmark = pytest.mark.anyio
NO_OPTIONS = SamplingOptions()
DOWN = TechnicalError("down", reason="connect")


class Fake:
    """A provider that answers its name, or fails."""

    def __init__(self, name: ServedBy, fault: Exception | None = None, *, print_: str = "f") -> None:
        self.name = name
        self.fault = fault
        self.print = print_
        self.asked = 0
        self.embedded = 0

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        self.asked += 1
        if self.fault:
            raise self.fault
        return Completion(self.name, "m", self.name)

    def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        raise NotImplementedError

    async def read_fingerprint(self) -> str:
        return self.print

    async def embed_texts(
        self, texts: Sequence[str], *, input_type: InputType = "document", request_id: str | None = None
    ) -> Embeddings:
        self.embedded += 1
        if self.fault:
            raise self.fault
        return Embeddings([[1.0] for _ in texts], self.print)


def chain(*fakes: Fake, stored: str | None = None) -> FallbackChain:
    made = FallbackChain({fake.name: fake for fake in fakes})
    made.note_fingerprint(stored)
    return made


@pytest.mark.parametrize(
    "refusal",
    [LogicalError("no", status=400, error_type="invalid_request"), RateLimited("enough", retry_after_s=9)],
    ids=["400", "429"],
)
async def test_nobody_else_is_asked_for_vectors_after_a_refusal(refusal: Exception) -> None:
    local = Fake("local")
    refusing = Fake("llm_service", refusal)
    with pytest.raises(type(refusal)):
        await chain(refusing, local).embed_texts(["x"])
    assert local.embedded == 0


async def test_nobody_else_is_asked_for_a_caller_that_left() -> None:
    local = Fake("local")
    with pytest.raises(asyncio.CancelledError):
        await chain(Fake("llm_service", asyncio.CancelledError()), local).complete([], NO_OPTIONS)  # type: ignore[arg-type]
    assert local.asked == 0


async def test_the_last_technical_error_is_raised_when_nobody_can() -> None:
    with pytest.raises(TechnicalError) as caught:
        await chain(Fake("llm_service", DOWN), Fake("local", TechnicalError("x", reason="overloaded"))).complete(
            [], NO_OPTIONS
        )
    assert caught.value.reason == "overloaded"


async def test_local_vectors_are_used_when_they_compare_with_the_services() -> None:
    service, local = Fake("llm_service", print_="a"), Fake("local", print_="a")
    both = chain(service, local)
    await both.embed_texts(["x"])
    service.fault = DOWN
    await both.embed_texts(["x"])
    assert (service.embedded, local.embedded) == (2, 1)


@pytest.mark.parametrize("stored", [None, "other"])
async def test_local_vectors_that_do_not_compare_are_not_even_made(stored: str | None) -> None:
    local = Fake("local", print_="a")
    with pytest.raises(TechnicalError):
        await chain(Fake("llm_service", DOWN), local, stored=stored).embed_texts(["x"])
    assert local.embedded == 0


async def test_local_vectors_are_compared_with_the_stored_ones_before_the_first_answer_of_the_service() -> None:
    both = chain(Fake("llm_service", DOWN), Fake("local", print_="a"), stored="a")
    assert (await both.embed_texts(["x"])).fingerprint == "a"


async def test_the_only_provider_needs_no_comparison() -> None:
    assert (await chain(Fake("local")).embed_texts(["x"])).vectors == [[1.0]]
