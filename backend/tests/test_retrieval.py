import asyncio
from collections.abc import Sequence

import pytest

from adapters.base import Embeddings, StoreUnavailable
from adapters.supabase_adapter import SupabaseAdapter
from services.ingestion import DocumentIngestor, entries_to_documents
from services.retrieval import Retriever
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

ENTRIES = [
    {"lemma": "perro", "pos": "m.", "gloss_bora": "oohííbye"},
    {"lemma": "casa", "pos": "f.", "gloss_bora": "jaá"},
]


class SlowEmbedder(FakeEmbedder):
    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        await asyncio.sleep(60)
        return await super().embed_texts(texts, request_id=request_id)


@pytest.fixture
async def filled(store: SupabaseAdapter) -> SupabaseAdapter:
    await DocumentIngestor(store, FakeEmbedder()).ingest(entries_to_documents(ENTRIES))
    return store


async def test_the_words_asked_for_are_what_is_embedded(filled: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    found = await Retriever(filled, embedder).retrieve("¿Cómo se dice perro en bora?", 5)
    assert embedder.calls == [["perro"]]
    assert found.hits[0].metadata["gloss"] == "oohííbye"
    assert "vector" in found.hits[0].matched_on
    assert not found.degraded


@pytest.mark.parametrize("kind", ["failing", "refusing", "slow"])
async def test_without_a_vector_words_still_find_it_and_it_is_told(filled: SupabaseAdapter, kind: str) -> None:
    embedder = SlowEmbedder() if kind == "slow" else FakeEmbedder()
    embedder.failing = kind == "failing"
    embedder.refused = {"casa"} if kind == "refusing" else set()
    found = await Retriever(filled, embedder, embed_timeout_s=0.05).retrieve("¿Cómo se dice casa en bora?", 5)
    assert found.hits[0].metadata["lemma"] == "casa"
    assert found.degraded


async def test_words_only_by_choice_is_not_degraded(filled: SupabaseAdapter) -> None:
    found = await Retriever(filled, None).retrieve("casa", 5)
    assert found.hits[0].metadata["lemma"] == "casa"
    assert not found.degraded


async def test_a_question_without_words_finds_nothing_and_asks_nobody(filled: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    assert await Retriever(filled, embedder).search("¿…?", 5) == []
    assert embedder.calls == []


async def test_a_database_that_is_away_is_told_to_the_caller() -> None:
    store = SupabaseAdapter("postgresql://nobody@127.0.0.1:9/none", timeout_s=0.3)
    with pytest.raises(StoreUnavailable):
        await Retriever(store, FakeEmbedder()).search("casa", 5)
    await store.close()


async def test_leaving_while_the_vector_is_made_is_not_swallowed(filled: SupabaseAdapter) -> None:
    task = asyncio.create_task(Retriever(filled, SlowEmbedder(), embed_timeout_s=60).search("casa", 5))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
