"""What the backend's tests share: an embedded Postgres a session, a database of its own a test."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from tests.fake_llm_service import FakeLLMService


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
def postgres_server() -> Iterator[str]:
    """The connection string of a real, embedded Postgres."""
    folder = Path(tempfile.mkdtemp(prefix="bora-pg-"))
    server = EmbeddedPostgres(folder)
    asyncio.run(server.start())
    yield asyncio.run(server.uri())
    asyncio.run(server.stop())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """The connection string of an empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield (
        postgres_server.replace("/postgres?", f"/{name}?")
        if "/postgres?" in postgres_server
        else (postgres_server.rsplit("/", 1)[0] + f"/{name}")
    )
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SupabaseAdapter]:
    """A document store on an empty database."""
    adapter = SupabaseAdapter(database_url, pool_size=4)
    await adapter.start()
    yield adapter
    await adapter.close()
