"""From a question to the documents that answer it."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.base import DocumentStore, Embedder, LogicalError, ParsedQuery, SearchHit, TechnicalError
from observability.events import FellBack, Observe, Retrieved, unobserved
from observability.tracing import current, ended, inside
from services.query_parser import parse_query

logger = logging.getLogger(__name__)

EMBED_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The documents found, best first, and how they were found."""

    hits: list[SearchHit]
    query: ParsedQuery
    degraded: bool
    """The question's vector could not be had: found by words only."""
    timings_ms: Mapping[str, float]


class Retriever:
    """Searches the store by words and, where an embedder answers in time, by meaning.

    Args:
        store: where the documents are.
        embedder: makes the question's vector; ``None`` searches by words only.
        embed_timeout_s: how long a question waits for its vector, in seconds.
        observe: told of every search, and of those that had to do without a vector.

    """

    def __init__(
        self,
        store: DocumentStore,
        embedder: Embedder | None,
        *,
        embed_timeout_s: float = EMBED_TIMEOUT_S,
        observe: Observe = unobserved,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._embed_timeout_s = embed_timeout_s
        self._observe = observe

    async def search(self, query: str, top_k: int, *, request_id: str | None = None) -> list[SearchHit]:
        """Return the best documents. Raises ``StoreUnavailable``."""
        return (await self.retrieve(query, top_k, request_id=request_id)).hits

    async def retrieve(self, query: str, top_k: int, *, request_id: str | None = None) -> Retrieval:
        """Return the best documents and how they were found. Raises ``StoreUnavailable``."""
        started = time.perf_counter()
        parsed = parse_query(query)
        if not parsed.phrase:
            return Retrieval([], parsed, degraded=False, timings_ms={"embed_ms": 0.0, "search_ms": 0.0})
        with ended(current().child("retrieval")) as span, inside(span):
            span.set({"gen_ai.operation.name": "retrieval"})
            vector, fingerprint = await self._embed(parsed.phrase, request_id)
            embedded = time.perf_counter()
            hits = await self._store.search(parsed, vector, fingerprint, top_k)
            mode = "words" if vector is None else "words_and_meaning"
            span.set({"app.retrieval.mode": mode, "app.retrieval.results": len(hits)})
        self._observe(Retrieved(time.perf_counter() - started))
        timings = {
            "embed_ms": round((embedded - started) * 1_000, 2),
            "search_ms": round((time.perf_counter() - embedded) * 1_000, 2),
        }
        return Retrieval(hits, parsed, self._embedder is not None and vector is None, timings)

    async def _embed(self, phrase: str, request_id: str | None) -> tuple[Sequence[float] | None, str | None]:
        if self._embedder is None:
            return None, None
        try:
            async with asyncio.timeout(self._embed_timeout_s):
                made = await self._embedder.embed_texts([phrase], request_id=request_id)
        except TimeoutError:
            logger.warning("searching by words only: no vector within %.1f s", self._embed_timeout_s)
            self._observe(FellBack("timeout"))
            return None, None
        except TechnicalError as error:
            logger.warning("searching by words only: %s", error)
            self._observe(FellBack(error.reason))
            return None, None
        except LogicalError as error:
            # Not what it says, which may quote the question.
            logger.warning("searching by words only: refused", extra={"status": error.status, "type": error.error_type})
            self._observe(FellBack("refused"))
            return None, None
        return made.vectors[0], made.fingerprint
