"""Shared fixtures: one embedded Postgres a session, one database a test."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex
from tests.databases import new_database
from tests.fake_llm_service import FakeLLMService

# For torch in the processes that tests start: threads that spin while they wait take the cores from other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def service() -> Iterator[FakeLLMService]:
    """A stand-in for the LLM service, on a port of its own."""
    fake = FakeLLMService().start()
    yield fake
    fake.stop()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for a Postgres. Not pytest's: as root that one is closed to the server's own user,
    and its path may be too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="bora-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _made_once() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bora-made-"))
    server = EmbeddedPostgres(folder)
    asyncio.run(server.start())
    asyncio.run(server.stop())
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_folder(short_folder: Path, _made_once: Path) -> Path:
    """A folder with an empty Postgres that is not running. A copy takes a tenth of the time of making one."""
    if os.name == "posix":
        # As root the files belong to the server's own user, which shutil does not keep.
        subprocess.run(["cp", "-a", f"{_made_once}/.", str(short_folder)], check=True)
    else:
        shutil.copytree(_made_once, short_folder, dirs_exist_ok=True)
    return short_folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The connection string of a real, embedded Postgres that skips what survives a power cut.

    Without waiting for the disk a database is made and migrated in 0.2 s and dropped in 0.1 s, instead of up to 2 s;
    a copy of a migrated template would save less than 0.1 s more. Tests of crashes start servers of their own.
    """
    folder = Path(tempfile.mkdtemp(prefix="bora-pg-"))
    server = EmbeddedPostgres(folder)
    asyncio.run(server.start())
    uri = asyncio.run(server.uri())
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield uri
    asyncio.run(server.stop())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """The connection string of an empty database."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SupabaseAdapter]:
    """A document store on an empty database."""
    adapter = SupabaseAdapter(database_url, LibraryIndex(), pool_size=4)
    await adapter.start()
    yield adapter
    await adapter.close()
