"""Migrations as processes meet them: twice, at once, cut off, of another time, without the right to make them."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.ports.documents import Document
from adapters.ports.store import StoreUnavailable
from adapters.postgres.migrations import load_migrations
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT
from free_ports import free_port
from services.library.index import LibraryIndex
from tests.backend_process import launch, wait_until
from tests.library.ingest_command import ingest, rows, write

pytestmark = pytest.mark.anyio
VERSIONS = [(migration.version,) for migration in load_migrations()]
START = """
import asyncio, sys
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex

async def start():
    store = SupabaseAdapter(sys.argv[1], LibraryIndex())
    await store.start()
    await store.close()

asyncio.run(start())
"""


def starter(database_url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(START), database_url]
    return subprocess.Popen(command, cwd=BACKEND_ROOT, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def versions(database_url: str) -> list[Any]:
    return rows(database_url, "SELECT version FROM rag_migrations ORDER BY version")


def test_two_processes_that_start_at_once_and_a_third_later_apply_each_migration_once(database_url: str) -> None:
    both = [starter(database_url), starter(database_url)]
    assert [end(process) for process in both] == [(0, ""), (0, "")]
    before = rows(database_url, "SELECT version, applied_at FROM rag_migrations ORDER BY version")
    assert end(starter(database_url)) == (0, "")
    assert rows(database_url, "SELECT version, applied_at FROM rag_migrations ORDER BY version") == before
    assert versions(database_url) == VERSIONS


def test_a_migration_cut_off_halfway_leaves_nothing_and_the_next_start_makes_it(database_url: str) -> None:
    with psycopg.connect(database_url) as blocker:
        # The extension and the table of migrations have been made when the process comes to wait here.
        blocker.execute("CREATE TABLE rag_documents (id text)")
        process = starter(database_url)
        wait_until(lambda: rows(database_url, "SELECT 1 FROM pg_locks WHERE NOT granted"), process)
        process.kill()
        process.communicate()
        blocker.rollback()
    assert rows(database_url, "SELECT to_regclass('rag_migrations')") == [(None,)]
    assert end(starter(database_url)) == (0, "")
    assert versions(database_url) == VERSIONS


@pytest.fixture
def newer_database(database_url: str) -> str:
    assert end(starter(database_url)) == (0, "")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO rag_migrations (version, name) VALUES (9999, 'of_the_future')")
    return database_url


def test_the_backend_refuses_to_start_on_the_schema_of_a_newer_one(newer_database: str) -> None:
    status, errors = end(launch(free_port(), DATABASE_URL=newer_database))
    assert status != 0
    assert "the start is refused: the database has schema version 9999" in errors
    assert "update the backend" in errors
    assert "Traceback" not in errors


def test_loading_a_file_is_refused_on_the_schema_of_a_newer_backend(newer_database: str, tmp_path: Any) -> None:
    result = ingest(newer_database, write(tmp_path / "words.json", [{"lemma": "sol", "gloss_bora": "nuhba"}]))
    assert result.returncode == 1
    assert "update the backend" in result.stderr
    assert rows(newer_database, "SELECT count(*) FROM rag_documents") == [(0,)]


@pytest.fixture
def limited_role(database_url: str) -> Iterator[str]:
    """The connection string of a role that may use what it is given, and make nothing."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE ROLE limited LOGIN")
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        yield make_conninfo(database_url, user="limited")
        owner.execute("DROP OWNED BY limited")
        owner.execute("DROP ROLE limited")


async def test_the_error_of_a_role_without_rights_names_what_is_missing(limited_role: str) -> None:
    store = SupabaseAdapter(limited_role, LibraryIndex())
    with pytest.raises(StoreUnavailable, match=r"docs/supabase\.md"):
        await store.start()
    await store.close()


async def test_a_role_that_may_make_nothing_works_on_a_schema_that_is_complete(
    database_url: str, limited_role: str, store: SupabaseAdapter
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rag_documents TO limited")
        owner.execute("GRANT SELECT, INSERT, DELETE ON rag_words TO limited")
        owner.execute("GRANT SELECT ON rag_migrations TO limited")
        owner.execute("CREATE POLICY backend ON rag_documents TO limited USING (true) WITH CHECK (true)")
        owner.execute("CREATE POLICY backend ON rag_words TO limited USING (true) WITH CHECK (true)")
        owner.execute("CREATE POLICY backend ON rag_migrations FOR SELECT TO limited USING (true)")
    limited = SupabaseAdapter(limited_role, LibraryIndex())
    await limited.start()
    many = [Document(f"d{number}", "text", f"perro {number}") for number in range(600)]
    assert (await limited.upsert(many)).inserted == 600
    await limited.set_vectors(["d1"], [[0.1] * 384], "model")
    assert (await limited.stats("model")).pending_embeddings == 599
    assert await limited.delete("d1")
    await limited.close()
    assert (await store.stats(None)).documents == 599
