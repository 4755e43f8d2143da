import asyncio
from collections.abc import Sequence

import pytest

from adapters.ports.documents import Document
from adapters.ports.search import FoundEntries, ParsedQuery
from adapters.supabase_adapter import SupabaseAdapter
from services.library.formats import read_records
from services.library.index import LibraryIndex
from services.library.ingestion import DocumentIngestor
from services.mentor.questions.parser import parse_query
from services.retrieval import Retriever
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

ENTRIES = [
    {"lemma": "perro", "pos": "m.", "gloss_bora": "oohííbye"},
    {"lemma": "casa", "pos": "f.", "gloss_bora": "jaá"},
]


class SlowEmbedder(FakeEmbedder):
    async def asked(self, texts: Sequence[str]) -> None:
        await asyncio.sleep(60)


@pytest.fixture
async def filled(store: SupabaseAdapter) -> SupabaseAdapter:
    await DocumentIngestor(store, FakeEmbedder()).ingest(read_records(ENTRIES).documents)
    return store


async def test_the_words_asked_for_are_what_is_embedded(filled: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    found = await Retriever(filled, embedder).retrieve(parse_query("¿Cómo se dice perro grande en bora?"), 5)
    assert embedder.calls == [["perro grande"]]
    assert found.hits[0].metadata["gloss"] == "oohííbye"
    assert "vector" in found.hits[0].matched_on
    assert found.fault is None


async def test_an_entry_of_the_whole_phrase_waits_for_no_vector(filled: SupabaseAdapter) -> None:
    embedder = SlowEmbedder()
    for question, fault in (
        ("¿Cómo se dice perro en bora?", None),
        ("¿Cómo se dice prero en bora?", None),
        ("perro grande", "timeout"),
    ):
        found = await Retriever(filled, embedder, embed_timeout_s=0.05).retrieve(parse_query(question), 5)
        assert (found.hits[0].metadata["lemma"], found.fault) == ("perro", fault)


class PatientStore(SupabaseAdapter):
    """Searches words only once a vector is being made."""

    vector_asked: asyncio.Event

    async def search(self, query: ParsedQuery, top_k: int) -> FoundEntries:
        async with asyncio.timeout(30):
            await self.vector_asked.wait()
        return await super().search(query, top_k)


async def test_the_words_of_a_phrase_are_searched_while_its_vector_is_made(
    filled: SupabaseAdapter, database_url: str
) -> None:
    vector_asked = asyncio.Event()

    class TellingEmbedder(FakeEmbedder):
        async def asked(self, texts: Sequence[str]) -> None:
            vector_asked.set()

    store = PatientStore(database_url, LibraryIndex())
    store.vector_asked = vector_asked
    found = await Retriever(store, TellingEmbedder()).retrieve(parse_query("perro grande"), 5)
    assert "vector" in found.hits[0].matched_on
    await store.close()


async def test_a_phrase_with_its_entry_leaves_its_vector(filled: SupabaseAdapter) -> None:
    await filled.upsert([Document("x", "dictionary", "perro de monte: x", {"lemma": "perro de monte", "gloss": "x"})])
    found = await Retriever(filled, SlowEmbedder(), embed_timeout_s=60).retrieve(parse_query("perro de monte"), 5)
    assert (found.hits[0].id, found.fault) == ("x", None)
    (left,) = (task for task in asyncio.all_tasks() if "embed" in repr(task.get_coro()))
    with pytest.raises(asyncio.CancelledError):
        await left


@pytest.mark.parametrize(("kind", "fault"), [("failing", "connect"), ("refusing", "refused"), ("slow", "timeout")])
async def test_without_a_vector_words_still_find_it_and_the_reason_is_given(
    filled: SupabaseAdapter, kind: str, fault: str
) -> None:
    embedder = SlowEmbedder() if kind == "slow" else FakeEmbedder()
    embedder.failing = kind == "failing"
    embedder.refused = {"casa grande"} if kind == "refusing" else set()
    found = await Retriever(filled, embedder, embed_timeout_s=0.05).retrieve(
        parse_query("¿Cómo se dice casa grande en bora?"), 5
    )
    assert found.hits[0].metadata["lemma"] == "casa"
    assert found.fault == fault


async def test_a_question_without_words_finds_nothing_and_asks_nobody(filled: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    assert (await Retriever(filled, embedder).retrieve(parse_query("¿…?"), 5)).hits == []
    assert embedder.calls == []


async def test_leaving_while_the_vector_is_made_is_not_swallowed(filled: SupabaseAdapter) -> None:
    task = asyncio.create_task(
        Retriever(filled, SlowEmbedder(), embed_timeout_s=60).retrieve(parse_query("casa grande"), 5)
    )
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
