"""Retrieval of the passages that answer a question."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from service_kit.observability import tracing

from adapters.ports.documents import SearchHit
from adapters.ports.models import LogicalError, Ranker, TechnicalError
from adapters.ports.search import TextTerm
from adapters.ports.store import DocumentStore
from observability.metrics import Metrics
from services.passages.basis import TextBasis, text_basis
from services.passages.question import read_question
from services.passages.quotation import best_quotation
from services.passages.relevance import Passage, by_meaning_only, compared, in_order, rank, reranked, term_weights
from services.passages.words import indexed
from services.question_vectors import QuestionEmbedder, QuestionVector

logger = logging.getLogger(__name__)
_RANK_TIMEOUT_S = 1.0
_MAX_RANKED = 16
"""Passages of 700 characters that a small cross-encoder on two cores ranks in about that time."""


@dataclass(frozen=True, slots=True)
class TextRetrieval:
    """The passages found, best first, and the basis of the answer."""

    ranked: list[Passage]
    basis: TextBasis
    total: int
    """Texts in the store."""
    relevance: float
    """Relevance of the sentences that fit the question best, 0 to 1; below the threshold no text answers."""
    fault: str | None = None
    """Why the search was by words only, although an embedder is configured."""

    @property
    def hits(self) -> list[SearchHit]:
        """The passages as search hits."""
        return [passage.hit for passage in self.ranked]


class TextRetriever:
    """Searches the texts by words and, where an embedder answers in time, by meaning.

    Nothing is answered from passages below ``threshold``; ``ranker`` orders those that were found by meaning only.
    """

    def __init__(
        self,
        store: DocumentStore,
        embedder: QuestionEmbedder,
        threshold: float,
        metrics: Metrics,
        ranker: Ranker | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._threshold = threshold
        self._metrics = metrics
        self._ranker = ranker
        self._are_there = False
        """Whether the last search saw texts; without any, no vector is needed."""

    async def retrieve(self, query: str, top_k: int, *, request_id: str | None = None) -> TextRetrieval:
        """Return the best passages. Raises ``StoreUnavailable``."""
        question = read_question(query)
        if not question.terms:
            return TextRetrieval([], TextBasis(question, ()), 0, 0.0)
        started = time.perf_counter()
        vector = QuestionVector()
        with (
            tracing.ending(tracing.start_span("retrieval")) as span,
            tracing.current(span),
            self._embedder.question(query, request_id, early=self._are_there) as vector_of_it,
        ):
            tracing.annotate(span, {"gen_ai.operation.name": "retrieval"})
            found = await self._store.search_texts(
                [TextTerm(indexed(term.text), term.folded) for term in question.terms]
            )
            self._are_there = found.total > 0
            if self._are_there:
                vector = await vector_of_it()
            if vector.values:
                found = await self._store.near_texts(found, vector.values, vector.fingerprint)
            ranked = rank(question, found, top_k)
            if vector.values:
                ranked = await self._with_sentences(ranked, vector, request_id)
                ranked = await self._with_ranks(query, ranked, request_id)
            mode = "words_and_meaning" if vector.values else "words"
            tracing.annotate(span, {"app.retrieval.mode": mode, "app.retrieval.results": len(ranked)})
        self._metrics.retrieved(time.perf_counter() - started)
        basis = text_basis(question, ranked, term_weights(question, found))
        relevance = best_quotation(basis).relevance if ranked else 0.0
        if relevance < self._threshold:
            basis = TextBasis(question, ())
        return TextRetrieval(ranked, basis, found.total, relevance, vector.fault)

    async def _with_sentences(
        self, ranked: list[Passage], vector: QuestionVector, request_id: str | None
    ) -> list[Passage]:
        """Return the passages ranked by their sentences too; as they are when these cannot be embedded in time."""
        chosen = compared(ranked)
        made = await self._embedder.embed_texts([text for passage in chosen for text in passage.spoken], request_id)
        if not made:
            return ranked
        left = iter(made)
        return reranked(ranked, [[_dot(vector.values, next(left)) for _ in passage.sentences] for passage in chosen])

    async def _with_ranks(self, query: str, ranked: list[Passage], request_id: str | None) -> list[Passage]:
        """Return the passages in the ranker's order; as they are when it fails, is slow or has no model."""
        some = by_meaning_only(ranked, _MAX_RANKED)
        if self._ranker is None or len(some) <= 1:
            return ranked
        try:
            async with asyncio.timeout(_RANK_TIMEOUT_S):
                scores = await self._ranker.rank_texts(query, [one.hit.content for one in some], request_id=request_id)
        except LogicalError:
            return ranked
        except (TechnicalError, TimeoutError) as error:
            reason = error.reason if isinstance(error, TechnicalError) else "timeout"
            logger.info("passages are not reranked", extra={"reason": reason, "request_id": request_id})
            return ranked
        return in_order(ranked, some, scores)


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(one * two for one, two in zip(first, second, strict=True))
