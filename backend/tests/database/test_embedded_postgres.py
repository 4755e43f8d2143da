"""One embedded Postgres, several processes: real ones, killed in the ways that processes die."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from adapters.ports.documents import Document, SearchHit
from adapters.ports.store import StoreUnavailable
from adapters.postgres.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex
from tests.searches import search

pytestmark = pytest.mark.anyio

BACKEND = Path(__file__).resolve().parents[2]
USER_PROCESS = """
import asyncio, sys
from pathlib import Path
from adapters.postgres.embedded_postgres import EmbeddedPostgres

async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]))
    await server.start()
    print(await server.uri(), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    if sys.argv[2] == "stop":
        await server.stop()

asyncio.run(main())
"""


class UserProcess:
    """Another process that uses the server until its input has a line."""

    def __init__(self, folder: Path, ending: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", USER_PROCESS, str(folder), ending],
            cwd=BACKEND,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def uri(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith("postgresql://"), self.process.communicate()
        return line

    def leave(self) -> str:
        """Let the process end; return what it wrote to standard error."""
        _, errors = self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0, errors
        return errors

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


NewUser = Callable[..., UserProcess]


@pytest.fixture
def new_user(postgres_folder: Path) -> Iterator[NewUser]:
    users: list[UserProcess] = []

    def make(ending: str = "stop") -> UserProcess:
        users.append(UserProcess(postgres_folder, ending))
        return users[-1]

    yield make
    for user in users:
        with suppress(OSError, ValueError):
            user.kill()
    _kill_server(postgres_folder)


@pytest.fixture
def server(postgres_folder: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(postgres_folder)
    yield postgres
    asyncio.run(postgres.stop())
    _kill_server(postgres_folder)


def _postmaster(folder: Path) -> psutil.Process | None:
    try:
        number = int((folder / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        process = psutil.Process(number)
    except (OSError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return process if "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE else None


def _kill_server(folder: Path) -> None:
    process = _postmaster(folder)
    if process is not None:
        process.kill()
        process.wait(30)


def _answers(uri: str) -> bool:
    try:
        with psycopg.connect(uri, connect_timeout=5) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_two_processes_share_one_server_and_the_last_one_stops_it(new_user: NewUser, postgres_folder: Path) -> None:
    first, second = new_user(), new_user()
    uri = first.uri()
    assert second.uri() == uri
    assert first.leave() == ""
    assert _answers(uri)
    assert second.leave() == ""
    assert _postmaster(postgres_folder) is None


def test_nothing_is_left_running_or_said_when_a_user_ends_without_stopping_it(
    new_user: NewUser, postgres_folder: Path
) -> None:
    user = new_user("forget")
    user.uri()
    assert user.leave() == ""
    assert _postmaster(postgres_folder) is None


def test_a_killed_user_does_not_take_the_server_along_nor_keep_it_alive(
    new_user: NewUser, postgres_folder: Path
) -> None:
    victim, other = new_user(), new_user()
    uri = victim.uri()
    other.uri()
    victim.kill()
    assert _answers(uri)
    other.leave()
    assert _postmaster(postgres_folder) is None


def test_the_server_of_a_killed_only_user_is_joined_by_the_next(new_user: NewUser, postgres_folder: Path) -> None:
    victim = new_user()
    uri = victim.uri()
    victim.kill()
    heir = new_user()
    assert heir.uri() == uri
    assert _answers(uri)
    heir.leave()
    assert _postmaster(postgres_folder) is None


@pytest.mark.parametrize(
    "pid_file",
    [
        pytest.param(
            "{own}\n{folder}\n1700000000\n5432\n{folder}\n\n  1234 5\nready   \n", id="number taken by another"
        ),
        pytest.param("999999999\n{folder}\n1700000000\n5432\n{folder}\n\n  1234 5\nready   \n", id="number not in use"),
        pytest.param("{own}\n{folder}\n", id="cut off"),
        pytest.param("", id="empty"),
    ],
)
async def test_a_pid_file_left_by_a_crash_does_not_matter(
    server: EmbeddedPostgres, postgres_folder: Path, pid_file: str
) -> None:
    await server.start()
    await server.stop()
    folder = postgres_folder / "postgres"
    (folder / "postmaster.pid").write_text(pid_file.format(own=os.getpid(), folder=folder), encoding="utf-8")
    await server.start()
    assert _answers(await server.uri())


async def _search_until_answered(store: SupabaseAdapter) -> list[SearchHit]:
    deadline = time.monotonic() + 60
    while True:
        try:
            return await search(store, "uno")
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


@pytest.fixture
async def server_store(server: EmbeddedPostgres) -> AsyncIterator[SupabaseAdapter]:
    await server.start()
    store = SupabaseAdapter(server.uri, LibraryIndex(), timeout_s=2.0)
    yield store
    await store.close()


async def test_a_killed_server_comes_back_under_a_running_store(
    server_store: SupabaseAdapter, postgres_folder: Path
) -> None:
    await server_store.upsert([Document("1", "dictionary", "uno: tsaate", {"lemma": "uno", "direction": "es_bora"})])
    process = _postmaster(postgres_folder)
    assert process is not None
    process.kill()
    process.wait(30)
    hits = await _search_until_answered(server_store)
    assert [hit.id for hit in hits] == ["1"]


@pytest.mark.parametrize(
    "folder",
    [Path("deep" * 20, "deeper" * 10), Path("año nuevo", "datos (1)")],
    ids=["too deep for a socket", "spaces and accents"],
)
async def test_a_folder_that_holds_no_socket_works(short_folder: Path, folder: Path) -> None:
    postgres = EmbeddedPostgres(short_folder / folder)
    await postgres.start()
    try:
        assert _answers(await postgres.uri())
    finally:
        await postgres.stop()


async def test_a_server_that_cannot_start_says_what_to_do(short_folder: Path) -> None:
    (short_folder / "postgres").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(EmbeddedPostgresError, match="set DATABASE_URL"):
        await EmbeddedPostgres(short_folder).start()


async def test_a_spoilt_database_says_what_its_log_says(postgres_folder: Path) -> None:
    postgres = EmbeddedPostgres(postgres_folder)
    await postgres.start()
    await postgres.stop()
    (postgres_folder / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"log ends with: .*pg_control.*move the folder away"):
        await EmbeddedPostgres(postgres_folder).start()


async def test_stopping_twice_or_before_the_start_is_fine(server: EmbeddedPostgres) -> None:
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    with pytest.raises(EmbeddedPostgresError, match="stopped"):
        await server.uri()


async def test_the_event_loop_runs_on_while_the_server_starts(server: EmbeddedPostgres) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await server.start()
    ticking.cancel()
    assert ticks > 3
