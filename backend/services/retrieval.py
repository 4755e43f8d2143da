"""Retrieval of the documents that answer a question."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from service_kit.observability import tracing

from adapters.ports.documents import SearchHit
from adapters.ports.models import Embedder
from adapters.ports.search import ParsedQuery
from adapters.ports.store import DocumentStore
from observability.metrics import Metrics
from services.mentor.basis import is_answered
from services.question_vectors import EMBED_TIMEOUT_S, QuestionEmbedder


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The documents found, best first."""

    hits: list[SearchHit]
    timings_ms: Mapping[str, float]
    fault: str | None = None
    """Why the search was by words only, although an embedder is configured and no exact entry was found."""


class Retriever:
    """Searches the store by words and, unless entries answer every word, by meaning, if there is an embedder."""

    def __init__(
        self,
        store: DocumentStore,
        embedder: Embedder | None,
        *,
        embed_timeout_s: float = EMBED_TIMEOUT_S,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._metrics = metrics or Metrics()
        self._embedder = QuestionEmbedder(embedder, timeout_s=embed_timeout_s, metrics=self._metrics)

    async def retrieve(
        self, query: ParsedQuery, top_k: int, *, by_meaning: bool = True, request_id: str | None = None
    ) -> Retrieval:
        """Return the best documents. Raises ``StoreUnavailable``.

        A vector adds only near matches below entries of the whole phrase, exact or a typo away, which therefore do not
        wait for it. That of a phrase is made while its words are searched; that of a single word, which mostly has its
        entry, only if it has none.
        """
        if not query.phrase:
            return Retrieval([], {"embed_ms": 0.0, "search_ms": 0.0})
        started, waited_s, fault, mode = time.perf_counter(), 0.0, None, "words"
        early = by_meaning and len(query.terms) > 1
        with (
            tracing.ending(tracing.start_span("retrieval")) as span,
            tracing.current(span),
            self._embedder.question(query.phrase, request_id, early=early) as vector_of_it,
        ):
            tracing.annotate(span, {"gen_ai.operation.name": "retrieval"})
            found = await self._store.search(query, top_k)
            hits = found.hits
            if by_meaning and not is_answered(query, hits):
                waiting = time.perf_counter()
                vector = await vector_of_it()
                waited_s, fault = time.perf_counter() - waiting, vector.fault
                if vector.values:
                    mode = "words_and_meaning"
                    hits = await self._store.search_near(found, vector.values, vector.fingerprint, top_k)
            tracing.annotate(span, {"app.retrieval.mode": mode, "app.retrieval.results": len(hits)})
        took_s = time.perf_counter() - started
        self._metrics.retrieved(took_s)
        timings = {"embed_ms": round(waited_s * 1_000, 2), "search_ms": round((took_s - waited_s) * 1_000, 2)}
        return Retrieval(hits, timings, fault)
