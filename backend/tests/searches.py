"""A search as the retriever does it: by words, then by vector."""

from collections.abc import Sequence

from adapters.ports.documents import SearchHit
from adapters.ports.store import DocumentStore
from services.mentor.questions.parser import parse_query

TOP_K = 5


async def search(
    store: DocumentStore,
    question: str,
    vector: Sequence[float] | None = None,
    fingerprint: str | None = None,
) -> list[SearchHit]:
    found = await store.search(parse_query(question), TOP_K)
    if vector is None or fingerprint is None:
        return found.hits
    return await store.search_near(found, vector, fingerprint, TOP_K)
