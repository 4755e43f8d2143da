"""Bounded pool of Postgres connections, its event loop, and error translation."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from adapters.ports.store import StoreUnavailable
from adapters.postgres.loop_thread import LoopThread, needs_loop_thread

T = TypeVar("T")
Dsn = str | Callable[[], Awaitable[str]]
Connection = psycopg.AsyncConnection[Any]

_MAX_WAITING_PER_CONNECTION = 32
_GRACE_S = 1.0
"""Added to the server's statement limit, which must expire first because it leaves the connection usable."""


class Database:
    """Connections that work through a transaction pooler: no prepared statement, no session state.

    Args:
        dsn: connection string, or an async function that returns one whenever a connection is made.
        pool_size: connections at most.
        timeout_s: for getting a connection, in seconds.
        statement_timeout_s: for each statement, in seconds.
        own_loop: run psycopg on an event loop of its own; by default only where the caller's
            loop cannot carry it (Windows).

    """

    def __init__(
        self, dsn: Dsn, *, pool_size: int, timeout_s: float, statement_timeout_s: float, own_loop: bool | None = None
    ) -> None:
        self._dsn = dsn
        self._pool_size = pool_size
        self._timeout_s = timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._own_loop = own_loop
        self._thread: LoopThread | None = None
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._left_behind: set[asyncio.Future[Any]] = set()

    @property
    def timeout_ms(self) -> int:
        """Statement timeout in milliseconds."""
        return max(1, round(self._statement_timeout_s * 1_000))

    async def run(self, coroutine: Coroutine[Any, Any, T], *, limit_s: float | None = None) -> T:
        """Return the result of ``coroutine``, run where the pool lives, within ``limit_s``.

        The server's statement limit does not cover a pooler without a free connection, a frozen server
        or lost packets, so the total time is limited here as well: by default to the limits of one
        connection and one statement. Raises ``StoreUnavailable``.
        """
        return await self._there(self.limited(coroutine, self.patience_s() if limit_s is None else limit_s))

    def patience_s(self, statements: int = 1) -> float:
        """Return the combined limit of a connection and ``statements`` statements, in seconds."""
        return self._timeout_s + statements * (self._statement_timeout_s + _GRACE_S)

    async def limited(self, coroutine: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Return the result of ``coroutine``; raise ``StoreUnavailable`` when it takes longer than ``limit_s``.

        After a timeout or a cancellation the coroutine continues in the background for up to ten seconds,
        while psycopg cancels the statement on the server and returns or closes the connection.
        """
        task = asyncio.ensure_future(coroutine)
        self._left_behind.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        finally:
            task.cancel()
        if not done:
            raise StoreUnavailable(f"the database did not answer within {limit_s:.1f} s")
        if task.cancelled():
            raise StoreUnavailable("the document store has been closed")
        return task.result()

    async def close(self) -> None:
        """Close every connection, and the event loop if this object created it."""
        await self._there(self._close_pool())
        if self._thread is not None:
            await self._thread.close()
            self._thread = None

    async def open(self) -> None:
        """Create the pool; connections are opened in the background. Await it within ``run``."""
        if self._pool is not None:
            return
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._connection_string,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=self._pool_size,
            max_waiting=self._pool_size * _MAX_WAITING_PER_CONNECTION,
            timeout=self._timeout_s,
            reconnect_timeout=self._timeout_s,
            check=_check_open,
            open=False,
            name="documents",
        )
        await pool.open(wait=False)
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode. Raises ``StoreUnavailable``."""
        if self._pool is None:
            raise StoreUnavailable("the document store is closed")
        with _store_errors():
            async with self._pool.connection() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection within a transaction whose statements are limited in time."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(self.timeout_ms))
            yield connection

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._own_loop is None:
            self._own_loop = needs_loop_thread(asyncio.get_running_loop())
        if not self._own_loop:
            return await coroutine
        if self._thread is None:
            self._thread = LoopThread()
        return await self._thread.run(coroutine)

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        self._left_behind.discard(task)
        if not task.cancelled():
            task.exception()  # retrieve it, or asyncio warns when the caller was cancelled

    async def _close_pool(self) -> None:
        for task in (left := set(self._left_behind)):
            task.cancel()
        if left:
            await asyncio.wait(left)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _connection_string(self) -> str:
        dsn = self._dsn if isinstance(self._dsn, str) else await self._dsn()
        # Detect a lost host within seconds instead of the system default of two hours.
        return make_conninfo(
            dsn,
            connect_timeout=max(2, round(self._timeout_s)),
            application_name="bora-backend",
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=2 * self.timeout_ms,
        )


async def _check_open(connection: Connection) -> None:
    """Raise ``OperationalError`` if the server has closed the connection, without a round trip.

    What a server says before it closes is read first, the end of the connection second. A server that is silently
    gone is noticed by the keepalives; the pool's own check would wait for it as long as the statement itself.
    """
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()


@contextmanager
def _store_errors() -> Iterator[None]:
    """Translate connection errors of psycopg into ``StoreUnavailable``."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"the database did not answer: {type(error).__name__}: {error}") from error
