"""Client of the llama.cpp server in a worker process: counts tokens, reserves a slot, reads the answer."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any

from engines.answer import most_new_tokens
from engines.base import EngineInfo
from engines.errors import ServiceError, context_exceeded, unknown_token
from engines.events import Accepted, Detokenized, Finished, RequestEvent, Tokenized
from engines.llamacpp.endpoint import SAMPLERS, Endpoint
from engines.llamacpp.prefixes import Prefixes
from engines.llamacpp.slots import Slot, Slots
from engines.prompts.control_tokens import neutraliser
from engines.prompts.thinking import budget_of
from engines.prompts.tools import in_words
from engines.requests import DetokenizeRequest, GenerationRequest, Request, TextRequest
from engines.upstream.answer import FREE_BYTES
from engines.upstream.client import CompletionClient
from engines.upstream.texts import ask_tokenizer
from engines.upstream.wire import completion_body

CONNECT_TIMEOUT_S = 5.0
PROGRESS_BYTES = 1024
"""Wire size of one report of progress, which llama.cpp sends after each step of a prompt."""
HANG_UP_POLL_S, HANG_UP_LIMIT_S = 0.1, 30.0
_BY_SAMPLER: dict[str, set[str]] = {
    "penalties": {"repeat_penalty", "presence_penalty", "frequency_penalty"},
    "top_k": {"top_k"},
    **{name: set() for name in SAMPLERS.split(";")},
    "min_p": {"min_p"},
}
"""Samplers in their order: the usual ones, and those that a request's fields need."""
_RANDOM_SEED = 2**32 - 1
"""llama.cpp's word for "no seed"."""

logger = logging.getLogger(__name__)


class LlamaCppClient:
    """Requests to one server. Use from one event loop. ``info``: the model that it serves."""

    def __init__(self, endpoint: Endpoint, info: EngineInfo, stall_timeout_s: float) -> None:
        self.slots = Slots(endpoint.slots, endpoint.kv_tokens, endpoint.step_tokens)
        self.info = info
        self._vocabulary = endpoint.vocabulary
        self._neutralise = neutraliser(endpoint.vocabulary.control)
        self._client = CompletionClient(
            endpoint.url,
            endpoint.api_key,
            # Requests that only count tokens are not bounded by slots.
            max_connections=4 * endpoint.slots,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            stall_timeout_s=stall_timeout_s,
            # llama.cpp closes the connection after each streamed answer and does not announce it.
            keep_alive=False,
            wire_bytes=FREE_BYTES + PROGRESS_BYTES * (endpoint.kv_tokens // endpoint.step_tokens + 1),
        )
        self._prefixes = Prefixes(endpoint, self._act)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def as_text(self, content: str) -> str:
        """Return a message's content without control tokens and halves of surrogate pairs, which JSON cannot carry."""
        return self._neutralise(content.encode("utf-8", "replace").decode())

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[AsyncIterator[RequestEvent]]:
        """Ask the server and give the events up to the last; leaving early closes the connection.

        Raises a ``ServiceError``, as the events do.
        """
        try:
            async with contextlib.aclosing(self._ask(request)) as events:
                yield events
        except ServiceError as error:
            error.message = error.message.replace("the upstream", "the engine")
            error.args = (error.message,)
            raise

    async def _convert(self, request: TextRequest) -> RequestEvent:
        if isinstance(request, DetokenizeRequest):
            # llama.cpp does not check ids.
            for token in request.tokens:
                if token >= self._vocabulary.size:
                    raise unknown_token(token)
            answer = await ask_tokenizer(self._client, "detokenize", {"tokens": list(request.tokens)})
            return Detokenized(request.id, answer.content or "")
        text, talk = request.text, request.conversation
        if talk is not None:
            body = completion_body(talk, self.info.model, template_arguments=True, as_text=self.as_text)
            text = (await ask_tokenizer(self._client, "apply-template", body)).prompt or ""
        return Tokenized(request.id, await self._token_ids(text, special=request.special))

    async def _token_ids(self, text: str, *, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": special, "parse_special": True}
        return (await ask_tokenizer(self._client, "tokenize", body)).tokens

    async def _ask(self, request: Request) -> AsyncGenerator[RequestEvent, None]:
        if isinstance(request, TextRequest):
            yield await self._convert(request)
            return
        assert isinstance(request, GenerationRequest)
        body = self._body(request)
        prompt_tokens = await self._fit(request, body)
        yield Accepted(request.id)
        text = "\0".join(f"{message.role}\n{self.as_text(message.content)}" for message in request.messages)
        await self._prefixes.wait_for_twin(text)
        share, copy = self._prefixes.best(text, prompt_tokens)
        unread = prompt_tokens * (1 - share)
        room = max(prompt_tokens + body["max_tokens"], copy.tokens if copy else 0)
        slot = await self.slots.take(unread, room)
        # Progress of a prompt: silence means a hung server, and hanging up is noticed with the next step.
        body |= {"id_slot": slot.number, "return_progress": True}
        finished: Finished | None = None
        try:
            if copy is not None:
                await self._prefixes.restore(slot, copy)
            elif self.slots.is_long(unread) and self._prefixes.worth_saving(text, prompt_tokens):
                await self._read(request, body, slot, text, prompt_tokens)
            async with contextlib.aclosing(self._client.answer(request, body)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        finished = event
                    if not isinstance(event, Accepted):
                        yield event
        finally:
            self._afterwards(self._empty(slot, text, finished))

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        body = completion_body(
            request, self.info.model, template_arguments=True, as_text=self.as_text, messages=in_words(request)
        )
        if (repetition := body.pop("repetition_penalty", None)) is not None:
            body["repeat_penalty"] = repetition
        if any(fields & body.keys() for fields in _BY_SAMPLER.values()):
            used = [name for name, fields in _BY_SAMPLER.items() if not fields or fields & body.keys()]
            body |= {"samplers": used, "repeat_last_n": self.info.context_length}
        if "logprobs" in body:
            body["top_logprobs"] = max(1, body["top_logprobs"])  # with 0 it reports nothing at all
        if (budget := budget_of(request, body["max_tokens"])) is not None:
            # Both are names of one field.
            body |= {"reasoning_budget_tokens": budget, "thinking_budget_tokens": budget}
        if request.grammar is not None:
            body["grammar"] = request.grammar
        return body

    async def _fit(self, request: GenerationRequest, body: dict[str, Any]) -> int:
        """Return the tokens of the prompt; bound those of the answer and the seed. Raises ``ServiceError``."""
        self._refuse_what_cannot_fit(request)
        prompt_tokens = await self._count(request, body)
        body["max_tokens"] = most_new_tokens(request, prompt_tokens, self.info.context_length)
        if request.sampling.seed is not None:
            body["seed"] = request.sampling.seed % _RANDOM_SEED
        return prompt_tokens

    async def _read(self, request: GenerationRequest, body: dict[str, Any], slot: Slot, text: str, tokens: int) -> None:
        """Read a long prompt and copy it before it is answered, so that others that begin like it need not wait."""
        with self._prefixes.reading(text):
            async with contextlib.aclosing(self._client.answer(request, body | {"max_tokens": 0})) as events:
                async for _ in events:
                    pass
            await self._prefixes.save(slot, text, tokens)

    async def _act(self, slot: int, action: str, body: dict[str, Any]) -> None:
        await self._client.call(f"{self._client.origin}/slots/{slot}?action={action}", body)

    def _refuse_what_cannot_fit(self, request: GenerationRequest) -> None:
        """Refuse by a bound, before the text is sent anywhere: no token is longer than the longest."""
        size = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
        if size > self.info.context_length * self._vocabulary.longest:
            raise context_exceeded(size // self._vocabulary.longest, self.info.context_length, at_least=True)

    async def _count(self, request: GenerationRequest, body: dict[str, Any]) -> int:
        if request.raw:
            return len(await self._token_ids(request.messages[0].content, special=True))
        url = f"{self._client.root}/chat/completions/input_tokens"
        return int(json.loads(await self._client.call(url, body))["input_tokens"])

    def _afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what no request waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _empty(self, slot: Slot, prompt: str, finished: Finished | None) -> None:
        """Free a slot: copy the conversation of a request that is finished, or wait until one that was left ends."""
        try:
            if finished is None:
                await self._wait_until_idle(slot)
            else:
                text = f"{prompt}\0assistant\n{finished.text}"
                tokens = finished.prompt_tokens + finished.completion_tokens
                if self._prefixes.worth_saving(text, tokens):
                    await self._prefixes.save(slot, text, tokens)
            await self._act(slot.number, "erase", {})
        except (TimeoutError, ServiceError):
            logger.warning("slot %d does not become idle", slot.number)
        finally:
            self.slots.free(slot)

    async def _wait_until_idle(self, slot: Slot) -> None:
        """Wait for the server, which may compute a request that was left for one more step."""
        async with asyncio.timeout(HANG_UP_LIMIT_S):
            while await self._is_busy(slot):  # noqa: ASYNC110 - the server offers nothing to wait for
                await asyncio.sleep(HANG_UP_POLL_S)

    async def _is_busy(self, slot: Slot) -> bool:
        states = json.loads(await self._client.call(f"{self._client.origin}/slots"))
        return bool(states[slot.number]["is_processing"])
