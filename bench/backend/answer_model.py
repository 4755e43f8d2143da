"""The LLM service as the answering half sees it, with what each answer cost."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import httpx2

from adapters.base import ChatMessage, Completion, SamplingOptions, TextDelta
from bench.harness.http import MeasuringFailed

TEMPERATURE, MAX_NEW_TOKENS, TIMEOUT_S = 0.0, 96, 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said, before anything is made of it."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class ServiceClient:
    """Asks the LLM service at ``url`` as the backend does by default."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S)
        self.name = ""
        """The model's, known after the first answer."""

    async def say(self, messages: Sequence[ChatMessage], request_id: str | None) -> tuple[Said, str]:
        """Return an answer and why it ended."""
        started = time.perf_counter()
        response = await self._client.post(
            "/api/llm/generate",
            json={"messages": list(messages), "temperature": TEMPERATURE, "max_new_tokens": MAX_NEW_TOKENS},
            headers={"Cache-Control": "no-store", **({"X-Request-ID": request_id} if request_id else {})},
        )
        seconds = time.perf_counter() - started
        if response.status_code != httpx2.codes.OK:
            raise MeasuringFailed(f"the service answered {response.status_code}: {response.text[:300]}")
        told = response.json()
        self.name, usage = told["model"], told["usage"]
        said = Said(told["answer"], usage["prompt_tokens"], usage["completion_tokens"], seconds)
        return said, told["finish_reason"]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class OneAnswer:
    """A language model for one question, which shows what it said; ``said`` stays ``None`` when it is not asked."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self.said: Said | None = None

    async def complete(
        self, messages: Sequence[ChatMessage], _options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer."""
        self.said, reason = await self._client.say(messages, request_id)
        return Completion(self.said.text, self._client.name, "llm_service", reason)

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        """Answer in one piece."""
        yield await self.complete(messages, options, request_id=request_id)
