"""Postgres is killed, frozen, slow or crowded under one running backend, which is never started again."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from adapters.postgres.embedded_postgres import EmbeddedPostgres
from postgres_server import database_folder
from tests.backend_process import answers, wait_until
from tests.logged_backend import logged_backend

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and SIGSTOP are POSIX's")
SEARCH = "/api/rag/search?q=perro"
QUESTION = {"query": "¿Cómo se dice perro en bora?"}
CONNECTIONS = 2
OURS = "application_name = 'bora-backend'"
A_SEARCH = "query LIKE '%rag_search_words%'"


class Server:
    """A Postgres that is not the backend's own: nobody but the test starts it again."""

    def __init__(self, folder: Path) -> None:
        self._postgres = EmbeddedPostgres(folder)
        self._pid_file = folder / "postgres" / "postmaster.pid"
        self.url = asyncio.run(self._postgres.uri())

    def start_again(self) -> None:
        asyncio.run(self._postgres.uri())

    def stop(self) -> None:
        asyncio.run(self._postgres.stop())

    def processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(int(self._pid_file.read_text(encoding="utf-8").splitlines()[0]))
        return [postmaster, *postmaster.children()]

    @contextmanager
    def locked(self) -> Iterator[psycopg.Connection[Any]]:
        """Nobody reads the documents meanwhile: a search waits."""
        with psycopg.connect(self.url) as connection:
            connection.execute("LOCK TABLE rag_documents IN ACCESS EXCLUSIVE MODE")
            yield connection

    def waiting(self, connection: "psycopg.Connection[Any]") -> list[int]:
        """Return the process ids of the searches that wait for the lock; others of the backend may wait too."""
        connection.execute("SELECT pg_stat_clear_snapshot()")  # a transaction would see what it saw first
        statement = f"SELECT pid FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock' AND {A_SEARCH}"
        return [row[0] for row in connection.execute(statement.encode()).fetchall()]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with database_folder() as folder:
        running = Server(folder)
        yield running
        running.stop()


@pytest.fixture(scope="module")
def backend(server: Server) -> Iterator[httpx.Client]:
    limits = {"DATABASE_POOL_SIZE": str(CONNECTIONS), "DATABASE_TIMEOUT": "1.5", "LLM_SERVICE_TIMEOUT": "5"}
    with logged_backend(Path(os.devnull), DATABASE_URL=server.url, **limits) as running:
        yield running.client


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def is_refused(response: httpx.Response) -> bool:
    """The contract's answer for a database that is away."""
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["retryable"]) == (503, "retrieval_unavailable", True)
    assert int(response.headers["retry-after"]) > 0
    return True


def finds(client: httpx.Client) -> bool:
    response = client.get(SEARCH)
    return response.status_code == 200 and response.json()["results"][0]["metadata"]["lemma"] == "perro"


def test_a_search_whose_server_process_is_killed_is_refused_and_the_next_is_answered(
    server: Server, backend: httpx.Client, callers: ThreadPoolExecutor
) -> None:
    with server.locked() as connection:
        search = callers.submit(backend.get, SEARCH)
        wait_until(lambda: server.waiting(connection))
        os.kill(server.waiting(connection)[0], signal.SIGKILL)
        # Postgres ends every connection, the lock's too, and recovers.
        assert is_refused(search.result())
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    wait_until(lambda: finds(backend))
    assert answers(backend, "/readyz", 200)


def test_readyz_fails_while_the_server_is_killed_and_it_is_used_again_once_it_is_back(
    server: Server, backend: httpx.Client
) -> None:
    processes = server.processes()
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, 30)
    assert is_refused(backend.get(SEARCH))
    assert is_refused(backend.post("/api/rag/query", json=QUESTION))
    ready = backend.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] is False
    assert answers(backend, "/livez", 200)
    server.start_again()
    wait_until(lambda: answers(backend, "/readyz", 200))
    wait_until(lambda: finds(backend))


def test_a_server_that_is_frozen_holds_no_caller_longer_than_the_limit(server: Server, backend: httpx.Client) -> None:
    processes = server.processes()
    for process in processes:
        process.suspend()
    try:
        assert is_refused(backend.get(SEARCH))
        assert backend.get("/readyz").json()["checks"]["database"] is False
    finally:
        for process in processes:
            process.resume()
    wait_until(lambda: finds(backend))


def test_more_questions_than_connections_wait_and_are_refused_in_the_end_and_none_is_lost(
    server: Server, backend: httpx.Client, callers: ThreadPoolExecutor
) -> None:
    with server.locked() as connection:
        searches: list[Future[httpx.Response]] = [callers.submit(backend.get, SEARCH) for _ in range(8)]
        wait_until(lambda: len(server.waiting(connection)) == CONNECTIONS)
        assert all(is_refused(search.result()) for search in searches)
        used = connection.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}".encode()).fetchone()
    assert used is not None
    assert used[0] <= CONNECTIONS
    assert all(list(callers.map(lambda _: finds(backend), range(16))))


def test_callers_that_hang_up_while_they_wait_leave_every_connection_free(
    server: Server, backend: httpx.Client, callers: ThreadPoolExecutor
) -> None:
    def hang_up(_: int) -> None:
        with pytest.raises(httpx.ReadTimeout):
            backend.get(SEARCH, timeout=httpx.Timeout(10, read=0.5))

    with server.locked() as connection:
        list(callers.map(hang_up, range(16)))
        # Their statements are stopped: none waits for the lock when its caller has gone.
        wait_until(lambda: not server.waiting(connection))
    assert all(list(callers.map(lambda _: finds(backend), range(16))))
