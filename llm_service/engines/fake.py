"""A deterministic generator without weights, so that everything around an engine is tested in seconds.

A token is a word. The answer repeats the last user message, in its order at temperature 0, otherwise in
an order that depends on the seed. Grammars are ignored: a message that is JSON, or a tool call, is repeated
unchanged. Instructions inside the last user message (those marked * also inside any text to embed or rank)
trigger behaviour for tests and are not part of the answer:

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

import itertools
import os
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from engines.answer import Answer
from engines.base import EngineBroken, EngineInfo
from engines.errors import GenerationFailed, Unsupported, context_exceeded, unknown_token
from engines.events import Detokenized, Failed, Finished, FirstToken, RequestEvent, Tokenized
from engines.requests import DetokenizeRequest, GenerationRequest, Request, TokenizeRequest
from engines.text_assembly import TextAssembler

CRASH_STATUS = 13
CONTEXT_WORDS = 2048
BYTES = 256
FINGERPRINT = "fake"
INFO = EngineInfo("fake", "fake", "fake", "none", "cpu", CONTEXT_WORDS, fingerprint=FINGERPRINT)
_INSTRUCTION = re.compile(r"\[\[([a-z-]+)(?::(\d+))?\]\]")


def instructions_in(text: str) -> dict[str, int]:
    """Return the instructions in a text with their numbers."""
    return {name: int(number or 0) for name, number in _INSTRUCTION.findall(text)}


def obey(instructions: dict[str, int]) -> None:
    """Do to the step what the instructions say."""
    if "crash" in instructions:
        os._exit(CRASH_STATUS)
    if "hang" in instructions:
        threading.Event().wait()
    if "broken" in instructions:
        raise EngineBroken("the fake engine breaks on request")
    time.sleep(instructions.get("slow", 0) / 1000)


@dataclass(slots=True, eq=False, kw_only=True)
class _Answer(Answer):
    instructions: dict[str, int]
    words: list[str]
    """All that is to be said; a token is an index."""


class FakeGenerator:
    """An ``Engine`` for generation requests: each step gives each request one word.

    With a temperature above 0 the words come in an order that depends on the seed alone.
    """

    def __init__(self) -> None:
        self._answers: dict[str, _Answer] = {}
        self.batch_size = 0
        self.info = INFO

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def submit(self, request: Request) -> None:
        """Take a request on, or refuse it as a real engine would or as it says."""
        assert isinstance(request, GenerationRequest)
        message = next((turn.content for turn in reversed(request.messages) if turn.role == "user"), "")
        instructions = instructions_in(message)
        prompt_tokens = sum(len(turn.content.split()) for turn in request.messages)
        if "reject" in instructions:
            raise Unsupported("the fake engine does not support this request")
        if request.sampling.logprobs is not None:
            raise Unsupported("the fake engine knows no probabilities", field="logprobs")
        room = self.info.context_length - prompt_tokens
        if room < 1 or "reject-length" in instructions:
            raise context_exceeded(prompt_tokens, self.info.context_length)
        words = _answer_words(request, message, instructions)
        self._answers[request.id] = _Answer(
            request=request,
            instructions=instructions,
            words=words,
            text=TextAssembler(lambda ids: "".join(words[token] for token in ids), request.sampling.stop),
            prompt_ids=range(prompt_tokens),
            max_new_tokens=min(request.sampling.max_new_tokens, room),
            inside_thought="in-thought" in instructions,
        )

    def tokenize(self, request: TokenizeRequest) -> Tokenized:
        """Return the bytes of a text, or of a conversation's texts."""
        turns = () if request.conversation is None else request.conversation.messages
        text = request.text if request.conversation is None else "\n".join(turn.content for turn in turns)
        return Tokenized(request.id, tuple(text.encode()))

    def detokenize(self, request: DetokenizeRequest) -> Detokenized:
        """Return the text of bytes."""
        for token in request.tokens:
            if token >= BYTES:
                raise unknown_token(token)
        return Detokenized(request.id, bytes(request.tokens).decode("utf-8", "replace"))

    def cancel(self, request_id: str) -> None:
        """Drop a request."""
        self._answers.pop(request_id, None)

    def step(self) -> Sequence[RequestEvent]:
        """Say one word of every answer."""
        self.batch_size = len(self._answers)
        events: list[RequestEvent] = []
        for answer in list(self._answers.values()):
            obey(answer.instructions)
            events.extend(self._advance(answer))
        return events

    @property
    def running(self) -> int:
        """Answers not ended."""
        return len(self._answers)

    @property
    def kv_cache_usage(self) -> float:
        """Words of the running conversations, as a share of those that fit one."""
        held = sum(len(answer.prompt_ids) + answer.text.token_count for answer in self._answers.values())
        return min(1.0, held / CONTEXT_WORDS)

    def close(self) -> None:
        """Drop everything."""
        self._answers.clear()

    def _advance(self, answer: _Answer) -> list[RequestEvent]:
        request_id, at = answer.request.id, answer.text.token_count
        if answer.words and "fail" in answer.instructions:
            failed = Failed(request_id, GenerationFailed("the fake engine fails on request"))
            events: list[RequestEvent] = [FirstToken(request_id, answer.inside_thought), failed]
        else:
            spoken = at >= len(answer.words)
            events = answer.add([] if spoken else [at], ended=spoken)
        if events and isinstance(events[-1], Finished | Failed):
            del self._answers[request_id]
        return events


def _answer_words(request: GenerationRequest, message: str, instructions: dict[str, int]) -> list[str]:
    words = _INSTRUCTION.sub("", message).split() or ["fake"]
    if not request.sampling.greedy:
        random.Random(request.sampling.seed).shuffle(words)  # noqa: S311 - repeatable, not secret
    count = instructions.get("words", len(words))
    said = itertools.islice(itertools.cycle(words), count)
    return [word if at == 0 else f" {word}" for at, word in enumerate(said)]
