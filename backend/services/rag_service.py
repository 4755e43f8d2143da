"""The mentor: finds what the dictionary says, has a model word it, and shows only what is grounded."""

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.base import (
    ChatMessage,
    Completion,
    DocumentStore,
    Embedder,
    LanguageModel,
    SamplingOptions,
    SearchHit,
    ServedBy,
    TechnicalError,
    TextDelta,
)
from observability.events import Answered, FellBack, Observe, unobserved
from services.entries import Basis, as_hit, basis_of
from services.extractive import extractive_answer
from services.follow_ups import basis_for, resolve
from services.grounding import AnswerMode, ground
from services.prompts import PromptBuilder, build_messages
from services.query_parser import parse_query
from services.retrieval import Retrieval, Retriever

logger = logging.getLogger(__name__)
_EXAMPLES_AMONG = 25


@dataclass(frozen=True, slots=True)
class RagAnswer:
    """An answer, what it rests on and who gave it; timings in milliseconds."""

    answer: str
    answer_mode: AnswerMode
    sources: tuple[SearchHit, ...]
    served_by: ServedBy
    degraded: bool
    model: str
    timings: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None
    """Tokens generated; ``None``: no model was asked."""
    cached: bool | None = None
    """Whether the model's answer came out of a cache; ``None``: nobody said."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The first part of a streamed answer: what was found."""

    hits: tuple[SearchHit, ...]


class NothingToAnswerFrom(Exception):
    """Nothing was retrieved while the models were away, so "I don't know" would be a guess."""


class RAGService:
    """Retrieval, prompt, answer, grounding check.

    Args:
        supabase_adapter: the document store.
        huggingface_adapter: answers when no ``language_model`` is given.
        language_model: answers; usually the chain of the LLM service and the local model.
        embedder: makes the questions' vectors; without one, search is by words only.
        sampling: how to sample; also bounds the length of an answer.
        top_k: documents a question is answered from, unless it says otherwise.
        prompt: words what the model is told.
        observe: told of searches, of answers, and of questions that had to do without a model.

    Without any language model, answers are made of the entries themselves.

    """

    def __init__(
        self,
        supabase_adapter: DocumentStore,
        huggingface_adapter: LanguageModel | None = None,
        *,
        language_model: LanguageModel | None = None,
        embedder: Embedder | None = None,
        sampling: SamplingOptions | None = None,
        top_k: int = 5,
        prompt: PromptBuilder = build_messages,
        observe: Observe = unobserved,
    ) -> None:
        self._model = language_model or huggingface_adapter
        self._retriever = Retriever(supabase_adapter, embedder, observe=observe)
        self._observe = observe
        self._sampling = sampling or SamplingOptions()
        self._top_k = top_k
        self._prompt = prompt

    async def search(self, query: str, top_k: int | None = None, *, request_id: str | None = None) -> Retrieval:
        """Return the documents that a question would be answered from. Raises ``StoreUnavailable``."""
        return await self._retriever.retrieve(query, top_k or self._top_k, request_id=request_id)

    async def generate_response(self, query: str, context_docs: Sequence[Any]) -> str:
        """Return a grounded answer to ``query`` from documents found elsewhere.

        ``context_docs`` are hits, documents, mappings with ``content`` and ``metadata``, or plain
        texts, best first. Raises ``LogicalError`` when the model refuses the request.
        """
        basis = basis_of(parse_query(query), [as_hit(document) for document in context_docs])
        if not basis.hits:
            return extractive_answer(basis)
        try:
            completion = await self._complete(query, basis, (), None)
        except TechnicalError:
            return extractive_answer(basis)
        return _ground(completion, basis).answer

    async def answer(
        self,
        query: str,
        top_k: int | None = None,
        history: Sequence[ChatMessage] = (),
        *,
        request_id: str | None = None,
    ) -> RagAnswer:
        """Return the whole answer. Raises ``StoreUnavailable``, ``LogicalError``, ``NothingToAnswerFrom``."""
        clock = _Clock()
        found = await self._retrieve(query, history, top_k, request_id, clock)
        basis = found.basis
        if not basis.hits:
            return self._over(clock.stamp(_without_model(basis, degraded=found.degraded)))
        try:
            completion = await self._complete(found.question, basis, history, request_id)
        except TechnicalError as error:
            self._do_without_model(error, request_id)
            return self._over(clock.stamp(_without_model(basis, degraded=True)))
        return self._over(clock.stamp(_ground(completion, basis), completion))

    async def answer_stream(
        self,
        query: str,
        top_k: int | None = None,
        history: Sequence[ChatMessage] = (),
        *,
        request_id: str | None = None,
    ) -> AsyncGenerator[Sources | TextDelta | RagAnswer, None]:
        """Yield the sources, the model's words as they come, then the answer, whose text counts.

        Raises as ``answer`` does, before anything is yielded; after the first words also ``TechnicalError``.
        """
        clock = _Clock()
        found = await self._retrieve(query, history, top_k, request_id, clock)
        basis = found.basis
        yield Sources(basis.hits)
        if not basis.hits:
            yield self._over(clock.stamp(_without_model(basis, degraded=found.degraded)))
            return
        begun = False
        try:
            async with aclosing(self._stream(found.question, basis, history, request_id)) as parts:
                async for part in parts:
                    if isinstance(part, TextDelta):
                        begun = True
                        yield part
                    else:
                        yield self._over(clock.stamp(_ground(part, basis), part))
        except TechnicalError as error:
            if begun:
                raise
            self._do_without_model(error, request_id)
            yield self._over(clock.stamp(_without_model(basis, degraded=True)))

    def _do_without_model(self, error: TechnicalError, request_id: str | None) -> None:
        logger.warning("answering without a model", extra={"reason": error.reason, "request_id": request_id})
        self._observe(FellBack(error.reason))

    def _over(self, answer: RagAnswer) -> RagAnswer:
        self._observe(Answered(answer.served_by, answer.answer_mode))
        return answer

    async def _retrieve(
        self,
        query: str,
        history: Sequence[ChatMessage],
        top_k: int | None,
        request_id: str | None,
        clock: "_Clock",
    ) -> "_Found":
        asked = resolve(query, history)
        limit = top_k or self._top_k
        # An example may stand behind the word's other entries.
        width = max(limit, _EXAMPLES_AMONG) if asked.example_of else limit
        retrieval = await self.search(asked.question, width, request_id=request_id)
        clock.note("retrieval_ms")
        basis = basis_for(asked, retrieval.query, retrieval.hits, limit, history)
        if not basis.hits and retrieval.degraded:
            raise NothingToAnswerFrom("nothing found by words, and no vector to search by meaning")
        return _Found(asked.question, basis, retrieval.degraded)

    async def _complete(
        self, query: str, basis: Basis, history: Sequence[ChatMessage], request_id: str | None
    ) -> Completion:
        model = self._need_model()
        return await model.complete(self._prompt(query, basis, history), self._sampling, request_id=request_id)

    async def _stream(
        self, query: str, basis: Basis, history: Sequence[ChatMessage], request_id: str | None
    ) -> AsyncGenerator[TextDelta | Completion, None]:
        messages = self._prompt(query, basis, history)
        parts = self._need_model().stream(messages, self._sampling, request_id=request_id)
        async with aclosing(parts) as answer:  # type: ignore[type-var]
            async for part in answer:
                yield part

    def _need_model(self) -> LanguageModel:
        if self._model is None:
            raise TechnicalError("no language model is configured", reason="disabled")
        return self._model


@dataclass(frozen=True, slots=True)
class _Found:
    """The question as it was looked up, and what was found."""

    question: str
    basis: Basis
    degraded: bool


class _Clock:
    """The phases of one answer."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._phases: dict[str, float] = {}

    def note(self, phase: str) -> None:
        now = time.monotonic()
        self._phases[phase] = round((now - self._last) * 1000, 1)
        self._last = now

    def stamp(self, answer: RagAnswer, completion: Completion | None = None) -> RagAnswer:
        timings = dict(self._phases)
        if completion is not None:
            timings |= {key: value for key, value in completion.timings.items() if key != "total_ms"}
            timings["generation_ms"] = round((time.monotonic() - self._last) * 1000, 1)
        timings["total_ms"] = round((time.monotonic() - self._started) * 1000, 1)
        return replace(answer, timings=timings)


def _ground(completion: Completion, basis: Basis) -> RagAnswer:
    grounded = ground(completion.answer, basis, cut_short=completion.finish_reason == "length")
    return RagAnswer(
        grounded.text,
        grounded.mode,
        basis.hits,
        completion.served_by,
        completion.degraded,
        completion.model,
        tokens=completion.tokens_generated,
        cached=completion.cached,
    )


def _without_model(basis: Basis, *, degraded: bool) -> RagAnswer:
    return RagAnswer(extractive_answer(basis), "extractive", basis.hits, "none", degraded, "none")
