"""Behind a transaction pooler, as with Supabase's port 6543: every transaction may meet another server connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.ports.documents import Document, SearchHit
from adapters.ports.store import StoreUnavailable
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex
from services.library.ingestion import DocumentIngestor
from tests import searches
from tests.database.pgbouncer import PGBOUNCER, SERVER_CONNECTIONS, PgBouncer
from tests.fakes import FakeEmbedder
from tests.library.ingest_command import count, ingest, rows, write

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer on this machine (Debian: apt-get install pgbouncer)"),
]
WORDS = [
    Document(f"w{number}", "dictionary", f"{word}: {word}ne", {"lemma": word, "gloss": f"{word}ne"})
    for number, word in enumerate(["perro", "casa", "sol", "agua", "monte"])
]


@pytest.fixture
def pooler(short_folder: Path, database_url: str) -> Iterator[PgBouncer]:
    running = PgBouncer(short_folder, database_url).start()
    yield running
    running.kill()


@pytest.fixture
async def store(pooler: PgBouncer) -> AsyncIterator[SupabaseAdapter]:
    adapter = SupabaseAdapter(pooler.url, LibraryIndex(), pool_size=4, timeout_s=2.0)
    await adapter.upsert(WORDS)
    yield adapter
    await adapter.close()


async def search(store: SupabaseAdapter, word: str) -> list[SearchHit]:
    made = await FakeEmbedder().embed_texts([word])
    return await searches.search(store, word, made.vectors[0], made.fingerprint)


def slots_taken(pooler: PgBouncer) -> list[psycopg.Connection[Any]]:
    """Take every connection that the pooler has to the server, as another app may."""
    taken = [psycopg.connect(pooler.url) for _ in range(SERVER_CONNECTIONS)]
    for connection in taken:
        connection.execute("SELECT 1")
    return taken


async def test_many_callers_share_few_connections_and_each_gets_its_own_answer(
    pooler: PgBouncer, database_url: str
) -> None:
    stores = [SupabaseAdapter(pooler.url, LibraryIndex(), pool_size=8) for _ in range(3)]
    await asyncio.gather(*(store.start() for store in stores))
    loads = [DocumentIngestor(store, FakeEmbedder(), store_batch=2).ingest(WORDS) for store in stores]
    reports = await asyncio.gather(*loads)
    assert sum(report.inserted for report in reports) == len(WORDS)
    asked = [(store, word) for store in stores for word in WORDS for _ in range(10)]
    found = await asyncio.gather(*(search(store, str(word.metadata["lemma"])) for store, word in asked))
    assert [hits[0].id for hits in found] == [word.id for _, word in asked]
    assert any("vector" in hit.matched_on for hits in found for hit in hits)
    ours = rows(database_url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bora-backend'")
    assert ours[0][0] <= SERVER_CONNECTIONS
    await asyncio.gather(*(store.close() for store in stores))
    for connection in (taken := slots_taken(pooler)):
        shown = connection.execute(
            "SELECT current_setting('statement_timeout'), current_setting('hnsw.iterative_scan', true), "
            "(SELECT count(*) FROM pg_prepared_statements)"
        ).fetchone()
        assert shown in (("0", "off", 0), ("0", None, 0))
    for connection in taken:
        connection.close()


def test_the_ingest_command_loads_and_reloads_a_file(pooler: PgBouncer, database_url: str, tmp_path: Path) -> None:
    words = [{"lemma": f"palabra{number}", "gloss_bora": f"glosa{number}"} for number in range(700)]
    file = write(tmp_path / "words.json", words)
    assert "700 new" in ingest(pooler.url, file, "--no-embed").stdout
    assert "700 unchanged" in ingest(pooler.url, file, "--no-embed").stdout
    assert count(database_url) == 700


async def test_a_question_for_which_the_pooler_has_no_connection_ends_and_the_next_is_answered(
    pooler: PgBouncer, store: SupabaseAdapter
) -> None:
    taken = slots_taken(pooler)
    with pytest.raises(StoreUnavailable):
        await search(store, "perro")
    for connection in taken:
        connection.close()
    assert (await search(store, "perro"))[0].id == "w0"


async def test_callers_that_leave_while_the_pooler_is_full_take_no_connection_along(
    pooler: PgBouncer, store: SupabaseAdapter
) -> None:
    taken = slots_taken(pooler)
    callers = [asyncio.create_task(search(store, "perro")) for _ in range(12)]
    await asyncio.sleep(0.2)
    for caller in callers:
        caller.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*callers, return_exceptions=True)
    )
    for connection in taken:
        connection.close()
    assert [hits[0].id for hits in await asyncio.gather(*(search(store, "perro") for _ in range(12)))] == ["w0"] * 12


async def test_a_pooler_that_was_killed_is_used_again_once_it_is_back(
    pooler: PgBouncer, store: SupabaseAdapter
) -> None:
    pooler.kill()
    with pytest.raises(StoreUnavailable):
        await search(store, "perro")
    pooler.start()
    assert (await found_again(store, "perro"))[0].id == "w0"


async def found_again(store: SupabaseAdapter, word: str) -> list[SearchHit]:
    for _ in range(300):
        try:
            return await search(store, word)
        except StoreUnavailable:
            await asyncio.sleep(0.1)
    raise AssertionError("the database did not come back")
