"""Base of the parts of a document store: connections, creation of the schema, and where statements run."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg

from adapters.ports.search import TextIndex
from adapters.ports.store import StoreUnavailable
from adapters.postgres.database import Connection, Database, Dsn
from adapters.postgres.migrations import migrate
from adapters.postgres.names import Names

S = TypeVar("S", bound="Store")
P = ParamSpec("P")
T = TypeVar("T")
_Method = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
TEXT_LANGUAGES = ("spanish", "english", "portuguese")
_START_S = 180.0
"""For connecting and for migrations, which may rewrite a large table."""


def in_database(statements: int = 1) -> Callable[[_Method[S, P, T]], _Method[S, P, T]]:
    """Run a method on psycopg's event loop, once the schema is ready, within the time of ``statements`` statements."""

    def decorate(method: _Method[S, P, T]) -> _Method[S, P, T]:
        @functools.wraps(method)
        async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            async def when_ready() -> T:
                await self.ready()
                return await method(self, *args, **kwargs)

            return await self.database.run(when_ready(), limit_s=self.database.patience_s(statements))

        return run

    return decorate


class Store:
    """Connections to a database whose schema is made or updated before the first statement.

    Args:
        dsn: connection string, or an async function that returns one whenever a connection is made.
        index: keys, lookups and ranking of the texts' language.
        dimension: of the embedding vectors.
        pool_size: connections at most.
        timeout_s: for getting a connection, in seconds.
        statement_timeout_s: for each statement, in seconds; by default ``timeout_s``.
        text_languages: Postgres's text search configurations for texts, besides ``simple``.
        own_loop: run psycopg on an event loop of its own; by default only where the caller's
            loop cannot carry it (Windows).

    """

    names: Names

    def __init__(
        self,
        dsn: Dsn,
        index: TextIndex,
        *,
        dimension: int = 384,
        pool_size: int = 8,
        timeout_s: float = 5.0,
        statement_timeout_s: float | None = None,
        text_languages: Sequence[str] = TEXT_LANGUAGES,
        own_loop: bool | None = None,
    ) -> None:
        self.database = Database(
            dsn,
            pool_size=pool_size,
            timeout_s=timeout_s,
            statement_timeout_s=statement_timeout_s or timeout_s,
            own_loop=own_loop,
        )
        self.index = index
        self.dimension = dimension
        self.total = 0
        """Documents in the table, as far as this process knows."""
        self._languages = tuple(text_languages)
        self._starting: asyncio.Task[None] | None = None
        self._is_ready = self._closed = False

    async def start(self) -> None:
        """Open the pool and migrate the schema; does nothing the second time.

        Every other method does this first, so a database that is down now is used once it is
        up. Raises ``StoreUnavailable``.
        """
        await self.database.run(self.ready(), limit_s=_START_S)

    async def close(self) -> None:
        """Close every connection. Required after a failed ``start`` too: the pool's tasks ignore
        cancellation and would keep the event loop from ending.
        """
        self._closed, self._is_ready, self._starting = True, False, None
        await self.database.close()

    async def ready(self) -> None:
        """Wait until the schema is ready; on psycopg's event loop. Raises ``StoreUnavailable``."""
        if self._closed:
            raise StoreUnavailable("the document store is closed")
        if self._is_ready:
            return
        # All callers share one start attempt; sequential attempts would add up for the last one.
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self.database.limited(self._start(), _START_S))
        await asyncio.shield(self._starting)

    async def complete(self, connection: Connection) -> None:
        """Complete what is derived from the documents, once the schema is up to date."""

    @in_database()
    async def run(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """Return the rows of one statement, in a transaction of its own. Raises ``StoreUnavailable``."""
        return await self.rows(query, parameters)

    async def rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """Do what ``run`` does, on psycopg's event loop already."""
        async with self.database.transaction() as connection:
            return await (await connection.execute(query, parameters)).fetchall()

    async def _start(self) -> None:
        await self.database.open()
        async with self.database.connection() as connection:
            with _schema_errors():
                self.names = await migrate(connection, self._languages, dimension=self.dimension)
                await self.complete(connection)
            counted = await connection.execute("SELECT count(*) FROM public.rag_documents")
            (self.total,) = await counted.fetchone() or (0,)
        self._is_ready = True


@contextmanager
def _schema_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        raise StoreUnavailable(
            f"the database schema cannot be prepared ({type(error).__name__}: {error}); the user of DATABASE_URL must "
            "have the right to create tables, or access to existing ones (docs/supabase.md), and the extension "
            "'vector' must be available"
        ) from error
