"""Deterministic engines without weights, so that everything around an engine is tested in seconds.

A token is a word. The answer repeats the last user message, in order at temperature 0 and otherwise
in one that the seed decides. Instructions inside the last user message (where marked *, inside any
text to embed too) cause what tests need and are not part of the answer:

=====================  ===========================================================================
``[[words:N]]``        the answer has N words, the message's over and over; without it as many as
                       the message
``[[slow:MS]]`` *      every step takes MS milliseconds
``[[in-thought]]``     the answer begins inside a thought, as if the prompt had opened it
``[[fail]]`` *         the request fails (``generation_failed``) after its first token
``[[reject]]``         the engine refuses the request (``unsupported``)
``[[reject-length]]``  the engine refuses the request (``context_length_exceeded``)
``[[hang]]`` *         the step never returns
``[[broken]]`` *       the step raises ``EngineBroken``
``[[crash]]`` *        the process ends with status 13, as if killed, during the step
=====================  ===========================================================================
"""

import hashlib
import itertools
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engines.base import (
    Embedded,
    EmbeddingRequest,
    EngineBroken,
    EngineInfo,
    Failed,
    Failure,
    Finished,
    FinishReason,
    FirstToken,
    FloatMatrix,
    GenerationRequest,
    RequestEvent,
    RequestRejected,
    TextDelta,
)
from engines.text_assembly import TextAssembler

CRASH_STATUS = 13
CONTEXT_WORDS = 2048
EMBEDDING_WORDS = 256
DIMENSION = 384
FINGERPRINT = "fake"
_INSTRUCTION = re.compile(r"\[\[([a-z-]+)(?::(\d+))?\]\]")


def _instructions(text: str) -> dict[str, int]:
    return {name: int(number or 0) for name, number in _INSTRUCTION.findall(text)}


def _obey(instructions: dict[str, int]) -> None:
    """Do to the step what the instructions say."""
    if "crash" in instructions:
        os._exit(CRASH_STATUS)
    if "hang" in instructions:
        threading.Event().wait()
    if "broken" in instructions:
        raise EngineBroken("the fake engine was told to break")
    time.sleep(instructions.get("slow", 0) / 1000)


@dataclass(slots=True)
class _Answer:
    request: GenerationRequest
    instructions: dict[str, int]
    words: Iterator[str]
    """What is still to be said."""
    vocabulary: list[str]
    """Words by token id, in the order they were said."""
    text: TextAssembler
    prompt_tokens: int
    max_new_tokens: int


class FakeGenerator:
    """An ``Engine`` for generation requests: each step gives each request one word.

    ``step_delay_s`` is how long a step takes, in seconds. With a temperature above 0 the words come
    in an order that depends on the seed alone.
    """

    def __init__(self, *, step_delay_s: float = 0.0) -> None:
        self._step_delay_s = step_delay_s
        self._answers: dict[str, _Answer] = {}
        self.batch_size = 0
        self.info = EngineInfo(
            backend="fake",
            model="fake",
            requested_model="fake",
            artifact="none",
            device="cpu",
            context_length=CONTEXT_WORDS,
            fingerprint=FINGERPRINT,
        )

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Take a request on, or refuse it as a real engine would or as it says."""
        assert isinstance(request, GenerationRequest)
        message = next((turn.content for turn in reversed(request.messages) if turn.role == "user"), "")
        instructions = _instructions(message)
        prompt_tokens = sum(len(turn.content.split()) for turn in request.messages)
        if "reject" in instructions:
            raise RequestRejected(Failure.UNSUPPORTED, "the fake engine does not support this request")
        if request.sampling.json_schema is not None:
            raise RequestRejected(Failure.UNSUPPORTED, "response_format: the fake engine follows no JSON schema")
        room = self.info.context_length - prompt_tokens
        if room < 1 or "reject-length" in instructions:
            raise RequestRejected(
                Failure.CONTEXT_LENGTH_EXCEEDED,
                f"the conversation has {prompt_tokens} tokens; this model reads {self.info.context_length - 1}",
                prompt_tokens=prompt_tokens,
                context_length=self.info.context_length,
            )
        vocabulary: list[str] = []
        self._answers[request.id] = _Answer(
            request=request,
            instructions=instructions,
            words=_answer_words(request, message, instructions),
            vocabulary=vocabulary,
            text=TextAssembler(lambda ids: "".join(vocabulary[token] for token in ids), request.sampling.stop),
            prompt_tokens=prompt_tokens,
            max_new_tokens=min(request.sampling.max_new_tokens, room),
        )

    def cancel(self, request_id: str) -> None:
        """Drop a request."""
        self._answers.pop(request_id, None)

    def step(self) -> Sequence[RequestEvent]:
        """Say one word of every answer."""
        time.sleep(self._step_delay_s)
        self.batch_size = len(self._answers)
        events: list[RequestEvent] = []
        for answer in list(self._answers.values()):
            _obey(answer.instructions)
            events.extend(self._advance(answer))
        return events

    @property
    def running(self) -> int:
        """Answers not ended."""
        return len(self._answers)

    @property
    def kv_cache_usage(self) -> float:
        """Words of the conversations under way, of those that fit one."""
        held = sum(answer.prompt_tokens + answer.text.token_count for answer in self._answers.values())
        return min(1.0, held / CONTEXT_WORDS)

    def close(self) -> None:
        """Drop everything."""
        self._answers.clear()

    def _advance(self, answer: _Answer) -> Iterator[RequestEvent]:
        request, text = answer.request, answer.text
        word = next(answer.words, None)
        delta = ""
        if word is not None:
            if text.token_count == 0:
                yield FirstToken(request.id, inside_thought="in-thought" in answer.instructions)
            if "fail" in answer.instructions:
                del self._answers[request.id]
                yield Failed(request.id, Failure.GENERATION_FAILED, "the fake engine was told to fail")
                return
            answer.vocabulary.append(word)
            delta = text.push([len(answer.vocabulary) - 1])
        reason: FinishReason | None = None
        if word is None or text.stopped:
            reason = "stop"
        elif text.token_count >= answer.max_new_tokens:
            reason = "length"
        if reason is not None:
            delta += text.finish()
        if delta and request.stream:
            yield TextDelta(request.id, delta)
        if reason is not None:
            del self._answers[request.id]
            reason = "stop" if text.stopped else reason
            yield Finished(request.id, text.text, reason, answer.prompt_tokens, text.token_count)


def _answer_words(request: GenerationRequest, message: str, instructions: dict[str, int]) -> Iterator[str]:
    words = _INSTRUCTION.sub("", message).split() or ["fake"]
    if request.sampling.temperature > 0:
        random.Random(request.sampling.seed).shuffle(words)  # noqa: S311 - repeatable, not secret
    count = instructions.get("words", len(words))
    endless = itertools.cycle(words)
    return (word if at == 0 else f" {word}" for at, word in enumerate(itertools.islice(endless, count)))


class FakeEmbedder:
    """An ``Engine`` for embedding requests: unit vectors drawn from each text's hash, a request a step."""

    def __init__(self, *, step_delay_s: float = 0.0) -> None:
        self._step_delay_s = step_delay_s
        self._requests: dict[str, EmbeddingRequest] = {}
        self.batch_size = 0
        self.info = EngineInfo(
            backend="fake",
            model="fake",
            requested_model="fake",
            artifact="none",
            device="cpu",
            context_length=EMBEDDING_WORDS,
            fingerprint=FINGERPRINT,
            dimension=DIMENSION,
        )

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Queue a request."""
        assert isinstance(request, EmbeddingRequest)
        self._requests[request.id] = request

    def cancel(self, request_id: str) -> None:
        """Drop a request."""
        self._requests.pop(request_id, None)

    def step(self) -> Sequence[RequestEvent]:
        """Embed the texts of the oldest request."""
        time.sleep(self._step_delay_s)
        if not self._requests:
            self.batch_size = 0
            return []
        request = next(iter(self._requests.values()))
        self.batch_size = len(request.texts)
        instructions = _instructions(" ".join(request.texts))
        _obey(instructions)
        del self._requests[request.id]
        if "fail" in instructions:
            return [Failed(request.id, Failure.GENERATION_FAILED, "the fake engine was told to fail")]
        counts = [len(text.split()) for text in request.texts]
        return [
            Embedded(
                request_id=request.id,
                vectors=np.stack([_vector(text, normalize=request.normalize) for text in request.texts]),
                tokens=tuple(min(count, EMBEDDING_WORDS) for count in counts),
                truncated=tuple(count > EMBEDDING_WORDS for count in counts),
            )
        ]

    @property
    def running(self) -> int:
        """Requests not embedded."""
        return len(self._requests)

    @property
    def kv_cache_usage(self) -> None:
        """There is none."""
        return

    def close(self) -> None:
        """Drop everything."""
        self._requests.clear()


def _vector(text: str, *, normalize: bool) -> FloatMatrix:
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")
    vector: FloatMatrix = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector)) if normalize else vector
