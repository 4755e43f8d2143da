"""Shared fixtures: one Postgres a session, one database a test."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from postgres_server import database_folder, postgres
from services.library.index import LibraryIndex
from tests.backend_server import LocalStub, ready_backend
from tests.fake_llm_service import FakeLLMService

# For torch in the processes that tests start: threads that spin while they wait take the cores from other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def running_service() -> Iterator[FakeLLMService]:
    fake = FakeLLMService().start()
    yield fake
    fake.stop()


@pytest.fixture
def service(running_service: FakeLLMService) -> FakeLLMService:
    """A stand-in for the LLM service, as new; a test that ends it starts one of its own."""
    running_service.reset()
    return running_service


@pytest.fixture(scope="module")
def running_local() -> LocalStub:
    return LocalStub()


@pytest.fixture
def local(running_local: LocalStub) -> LocalStub:
    """The local model of a backend, as new."""
    vars(running_local).update(vars(LocalStub()))
    return running_local


@pytest.fixture(scope="module")
def running_backend(
    request: pytest.FixtureRequest, shared_database: str, running_service: FakeLLMService, running_local: LocalStub
) -> Iterator[httpx.Client]:
    """A backend for a module's tests, with the module's ``SETTINGS``."""
    running_service.reset()
    with ready_backend(
        running_local,
        database_url=shared_database,
        llm_service_url=running_service.url,
        llm_service_timeout=5,
        llm_service_breaker_failures=1_000,
        **request.module.SETTINGS,
    ) as client:
        yield client


@pytest.fixture
def backend(running_backend: httpx.Client, service: FakeLLMService, local: LocalStub) -> httpx.Client:
    """The module's backend, its models as new; each test removes what it stores."""
    return running_backend


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for a Postgres."""
    with database_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def _made_once() -> Iterator[Path]:
    with database_folder() as folder:
        server = EmbeddedPostgres(folder)
        asyncio.run(server.start())
        asyncio.run(server.stop())
        yield folder


@pytest.fixture
def postgres_folder(short_folder: Path, _made_once: Path) -> Path:
    """A folder with an empty Postgres that is not running. A copy takes a tenth of the time of making one."""
    if os.name == "posix":
        # As root the files belong to the server's own user, which shutil does not keep.
        subprocess.run(["cp", "-a", f"{_made_once}/.", str(short_folder)], check=True)
    else:
        shutil.copytree(_made_once, short_folder, dirs_exist_ok=True)
    return short_folder


@pytest.fixture(scope="module")
def shared_database() -> Iterator[str]:
    """The connection string of a database for a module's tests."""
    with postgres().database() as url:
        yield url


@pytest.fixture
def database_url() -> Iterator[str]:
    """The connection string of an empty database; tests of crashes start servers of their own."""
    with postgres().database() as url:
        yield url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SupabaseAdapter]:
    """A document store on an empty database."""
    adapter = SupabaseAdapter(database_url, LibraryIndex(), pool_size=4)
    await adapter.start()
    yield adapter
    await adapter.close()
