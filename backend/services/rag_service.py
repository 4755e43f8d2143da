"""Question answering: retrieval, then the entries themselves, or a model's words checked against them."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from adapters.ports.models import (
    ChatMessage,
    Completion,
    Embedder,
    LanguageModel,
    LogicalError,
    Ranker,
    SamplingOptions,
    TechnicalError,
    TextDelta,
)
from adapters.ports.store import DocumentStore
from observability.metrics import Metrics
from services.answers import AnswerPart, Checked, Found, RagAnswer, Sources, whole_answer
from services.mentor.basis import Basis, basis_of
from services.mentor.entries import as_hit
from services.mentor.extractive import missing_words
from services.mentor.grounding import ground
from services.mentor.prompts import DEFAULT_PERSONA, build_messages, explanation_messages
from services.mentor.questions.parser import parse_query
from services.mentor.understanding import understand
from services.model_calls import Call, ask
from services.passages.basis import given_basis
from services.passages.prompts import text_messages
from services.question_vectors import QuestionEmbedder
from services.retrieval import Retrieval, Retriever
from services.routing import is_for_texts, is_settled
from services.text_retrieval import TextRetriever

logger = logging.getLogger(__name__)
Wording = Literal["auto", "always", "never"]
"""When a model words an answer: where no entry answers the question, for every question, or never."""
_RANKED = 200
"""Documents among which each word of a question has its entries, and a word its examples."""
_GREEDY = SamplingOptions(temperature=0.0)


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How questions to texts are answered."""

    threshold: float = 0.5
    """Lowest relevance of a passage that is answered from."""
    prompt_tokens: int = 1_200
    """Tokens of passages in a prompt."""
    only: bool = False
    """There is no dictionary: all questions go to the texts."""


class NothingToAnswerFrom(Exception):
    """Nothing was found by words while no embedder was available, so "not in the dictionary" would be a guess."""


_TEXT_OPTIONS = TextOptions()


class RAGService:
    """Retrieval, and an answer that the documents found support.

    Args:
        supabase_adapter: the document store.
        huggingface_adapter: language model used when no ``language_model`` is given.
        language_model: usually the chain of the LLM service and the local model.
        embedder: embeds the questions; without one, search is by words only.
        sampling: greedy by default, so that the LLM service's response cache is hit.
        top_k: default number of documents per answer.
        wording: when a model is asked to word an answer.
        persona: the operator's text for prompts; over entries the mentor's own by default.
        texts: how questions to texts are answered.
        ranker: orders passages that were found by meaning only.
        metrics: counts searches, answers, and questions answered without a model.
        on_missing: called with the missing words of an answer, and their question; must return at once.

    """

    def __init__(
        self,
        supabase_adapter: DocumentStore,
        huggingface_adapter: LanguageModel | None = None,
        *,
        language_model: LanguageModel | None = None,
        embedder: Embedder | None = None,
        sampling: SamplingOptions = _GREEDY,
        top_k: int = 5,
        wording: Wording = "auto",
        persona: str = "",
        texts: TextOptions = _TEXT_OPTIONS,
        ranker: Ranker | None = None,
        metrics: Metrics | None = None,
        on_missing: Callable[[Sequence[str], str], None] | None = None,
    ) -> None:
        self._model = language_model or huggingface_adapter
        self._on_missing = on_missing
        self._metrics = metrics or Metrics()
        self._retriever = Retriever(supabase_adapter, embedder, metrics=self._metrics)
        self._texts = texts
        questions = QuestionEmbedder(embedder, metrics=self._metrics)
        self._text_retriever = TextRetriever(supabase_adapter, questions, texts.threshold, self._metrics, ranker)
        self._sampling = sampling
        self._top_k = top_k
        self._wording = wording
        self._persona = persona

    async def search(self, query: str, top_k: int | None = None, *, request_id: str | None = None) -> Retrieval:
        """Return the documents for answering a question, entries and texts. Raises ``StoreUnavailable``."""
        limit, asked = top_k or self._top_k, parse_query(query)
        if self._texts.only:
            entries = Retrieval([], {})
        else:
            entries = await self._retriever.retrieve(asked, limit, request_id=request_id)
            if is_settled(basis_of(asked, entries.hits)):
                return entries
        texts = await self._text_retriever.retrieve(query, limit, request_id=request_id)
        hits = sorted([*entries.hits, *texts.hits], key=lambda hit: -hit.score)
        return replace(entries, hits=hits[:limit], fault=entries.fault or texts.fault)

    async def generate_response(self, query: str, context_docs: Sequence[Any]) -> str:
        """Return a grounded answer to ``query`` from documents found elsewhere.

        ``context_docs`` are hits, documents, mappings with ``content`` and ``metadata``, or plain
        texts, best first. Texts answer only where no entry does.
        """
        hits = [as_hit(document) for document in context_docs]
        basis = basis_of(parse_query(query), [hit for hit in hits if hit.kind != "text"])
        given = [hit for hit in hits if hit.kind == "text"]
        found = Found(query, basis, given_basis(query, given) if given and not is_settled(basis) else None)
        answer = found.without_model()
        if self._needs_model(found):
            answer = await whole_answer(self._worded(answer, found, (), Call(None, None), draft=False))
        return answer.answer

    async def answer(
        self,
        query: str,
        top_k: int | None = None,
        history: Sequence[ChatMessage] = (),
        *,
        explain: bool = False,
        timeout_s: float | None = None,
        request_id: str | None = None,
    ) -> RagAnswer:
        """Return the whole answer. Raises as ``answer_stream`` does."""
        return await whole_answer(
            self.answer_stream(query, top_k, history, explain=explain, timeout_s=timeout_s, request_id=request_id)
        )

    async def answer_stream(
        self,
        query: str,
        top_k: int | None = None,
        history: Sequence[ChatMessage] = (),
        *,
        explain: bool = False,
        draft: bool = False,
        timeout_s: float | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[AnswerPart, None]:
        """Yield the sources, the final text, the explanation if there is one, and the whole answer.

        Args:
            query: the question.
            top_k: number of documents.
            history: earlier turns, oldest first.
            explain: also ask a model for an explanation of the entries.
            draft: yield a model's text while it is generated, before it is checked.
            timeout_s: a model that needs longer is given up, and the entries answer.
            request_id: for logs and for the LLM service.

        Raises ``StoreUnavailable`` and ``NothingToAnswerFrom`` before the first part; a model's failure raises
        nothing, and shows as ``degraded`` with its ``reason``.

        """
        call = Call(request_id, timeout_s)
        found = await self._retrieve(query, history, top_k, call)
        yield Sources(found.hits)
        answer = found.without_model()
        if self._needs_model(found):
            async with aclosing(self._worded(answer, found, history, call, draft=draft)) as parts:
                async for part in parts:
                    if isinstance(part, TextDelta):
                        yield part
                    else:
                        answer = part
        yield Checked("answer", answer.answer)
        explained = explain and found.has_entries and found.basis.wanted and not found.basis.is_fixed
        if explained and answer.reason is None and self._wording != "never":
            answer = await self._explain(answer, found.question, found.basis, call)
            if answer.explanation is not None:
                yield Checked("explanation", answer.explanation)
        self._metrics.answered(answer.served_by, answer.answer_mode)
        missing = missing_words(found.basis) if found.has_entries else ()
        if missing and self._on_missing is not None:
            self._on_missing(missing, found.question)
        yield replace(
            answer,
            timings=call.timings(answer.timings),
            missing=missing,
            says_more=found.has_entries and found.basis.is_fixed,
        )

    async def _retrieve(self, query: str, history: Sequence[ChatMessage], top_k: int | None, call: Call) -> Found:
        """Return the resolved question and the documents that answer it."""
        limit = top_k or self._top_k
        found = Found(query, Basis(parse_query(query), (), (), "es_bora", exact=False))
        if not self._texts.only:
            asked = understand(query, history)
            entries = await self._retriever.retrieve(
                asked.query, _RANKED, by_meaning=not asked.by_words_only, request_id=call.request_id
            )
            basis = asked.basis(entries.hits).with_sources(limit)
            found = Found(asked.query.original, basis, fault=entries.fault)
        if not is_settled(found.basis):
            found = await self._with_texts(found, limit, call)
        call.note("retrieval_ms")
        if not found.hits and found.fault:
            raise NothingToAnswerFrom("nothing found by words, and no vector to search by meaning")
        return found

    async def _with_texts(self, found: Found, limit: int, call: Call) -> Found:
        """Return the documents that answer the question, with texts where it goes to them."""
        texts = await self._text_retriever.retrieve(found.question, limit, request_id=call.request_id)
        if texts.total == 0 and not self._texts.only:
            return found
        if texts.basis.passages or self._texts.only or is_for_texts(found.basis):
            return replace(found, texts=texts.basis, fault=texts.fault)
        return found

    async def _worded(
        self, answer: RagAnswer, found: Found, history: Sequence[ChatMessage], call: Call, *, draft: bool
    ) -> AsyncGenerator[TextDelta | RagAnswer, None]:
        """Yield the draft if requested, then the supported part of a model's answer; if the model fails, ``answer``."""
        messages = self.messages(found, history)
        try:
            async with aclosing(ask(self._model, messages, self._sampling, call, draft=draft)) as parts:
                async for part in parts:
                    yield part if isinstance(part, TextDelta) else found.checked(part)
        except (TechnicalError, LogicalError) as error:
            self._note_failure(error, call)
            yield replace(answer, served_by="none", degraded=True, reason=error.reason)
        finally:
            call.note("generation_ms")

    def _needs_model(self, found: Found) -> bool:
        fixed = found.texts is None and found.basis.is_fixed
        if not found.hits or fixed or self._wording == "never":
            return False
        return self._wording == "always" or found.texts is not None

    def messages(self, found: Found, history: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return the conversation that asks a model for the answer."""
        if found.texts is None:
            return build_messages(found.question, found.basis, history, persona=self._persona or DEFAULT_PERSONA)
        return text_messages(found.texts, persona=self._persona, budget_tokens=self._texts.prompt_tokens)

    async def _explain(self, answer: RagAnswer, question: str, basis: Basis, call: Call) -> RagAnswer:
        """Return the answer with an explanation if a model gives one that the entries support."""
        try:
            messages = explanation_messages(question, basis, persona=self._persona or DEFAULT_PERSONA)
            parts = ask(self._model, messages, self._sampling, call, draft=False)
            *_, completion = [part async for part in parts]
        except (TechnicalError, LogicalError) as error:
            self._note_failure(error, call)
            return replace(answer, degraded=True, reason=error.reason)
        finally:
            call.note("explanation_ms")
        assert isinstance(completion, Completion)
        explained = ground(completion.answer, basis, cut_short=completion.finish_reason == "length")
        if explained.mode == "extractive" or explained.text == answer.answer:
            return answer
        return replace(answer, explanation=explained.text)

    def _note_failure(self, error: TechnicalError | LogicalError, call: Call) -> None:
        logger.warning("answering without a model", extra={"reason": error.reason, "request_id": call.request_id})
        self._metrics.fell_back(error.reason)
