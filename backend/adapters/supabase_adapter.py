"""Documents in Postgres with pgvector: Supabase's, or any other, or the embedded one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from opentelemetry.trace import SpanKind
from psycopg import sql

from adapters.base import (
    Candidate,
    Document,
    EntryDocuments,
    FoundEntries,
    FoundTexts,
    Language,
    ListedWords,
    ListPosition,
    ParsedQuery,
    SearchHit,
    StoredSource,
    StoreStats,
    StoreTooNew,
    StoreUnavailable,
    TextIndex,
    TextTerm,
    UpsertReport,
    WrongDimension,
)
from adapters.postgres.database import Database, Dsn
from adapters.postgres.documents import Documents
from adapters.postgres.list_sql import list_parameters
from adapters.postgres.migrations import MigrationError, NewerSchema, migrate
from adapters.postgres.names import Names
from adapters.postgres.reports import PostgresReports
from adapters.postgres.searches import Searches
from adapters.postgres.text_search_sql import reindex_statement
from adapters.postgres.vector_indexes import VectorIndexes
from adapters.postgres.word_list import WordList
from service_kit import tracing

logger = logging.getLogger(__name__)
T = TypeVar("T")
_SEARCH_SPAN = {
    "db.system.name": "postgresql",
    "db.operation.name": "SELECT",
    "db.collection.name": "documents",
}
TEXT_LANGUAGES = ("spanish", "english", "portuguese")
_START_S = 180.0
"""For connecting and for migrations, which may rewrite a large table."""
_BUILD_STATEMENTS = 100
"""How many statements' time building the vector indexes may take."""
_HAS_OTHER_LANGUAGES = (
    "SELECT EXISTS (SELECT 1 FROM {schema}.rag_documents WHERE kind = 'text' AND passage_languages <> {languages})"
)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What works on a database whose schema is known."""

    searches: Searches
    documents: Documents
    vector_indexes: VectorIndexes
    word_list: WordList


class SupabaseAdapter:
    """A ``DocumentStore`` over a bounded connection pool.

    Works through transaction poolers (no prepared statements, no session state) and reconnects
    when the database comes back.

    Args:
        dsn: connection string, or an async function that returns one whenever a connection is made.
        index: keys, lookups and ranking of the texts' language.
        dimension: of the embedding vectors.
        pool_size: connections at most.
        timeout_s: for getting a connection, in seconds.
        statement_timeout_s: for each statement, in seconds; by default ``timeout_s``.
        schema: where the tables live.
        text_languages: Postgres's text search configurations for texts, besides ``simple``.
        own_loop: run psycopg on an event loop of its own; by default only where the caller's
            loop cannot carry it (Windows).

    """

    def __init__(
        self,
        dsn: Dsn,
        index: TextIndex,
        *,
        dimension: int = 384,
        pool_size: int = 8,
        timeout_s: float = 5.0,
        statement_timeout_s: float | None = None,
        schema: str = "public",
        text_languages: Sequence[str] = TEXT_LANGUAGES,
        own_loop: bool | None = None,
    ) -> None:
        self._database = Database(
            dsn,
            pool_size=pool_size,
            timeout_s=timeout_s,
            statement_timeout_s=timeout_s if statement_timeout_s is None else statement_timeout_s,
            own_loop=own_loop,
        )
        self.reports = PostgresReports(self._database, self._ready, schema)
        """Beside the documents, in their database."""
        self._index = index
        self._dimension = dimension
        self._schema = schema
        self._languages = tuple(text_languages)
        self._opened: _Opened | None = None
        self._starting: asyncio.Task[_Opened] | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the pool and migrate the schema; does nothing the second time.

        Every other method does this first, so a database that is down now is used once it is
        up. Raises ``StoreUnavailable``.
        """
        self._closed = False
        await self._database.run(self._ready(), limit_s=_START_S)

    async def close(self) -> None:
        """Close every connection. Required after a failed ``start`` too: the pool's tasks ignore
        cancellation and would keep the event loop from ending.
        """
        self._closed, self._opened, self._starting = True, None, None
        await self._database.close()

    async def ping(self) -> None:
        """Raise ``StoreUnavailable`` unless the database answers."""
        await self._run(lambda _: self._select_one())

    async def search(self, query: ParsedQuery, top_k: int) -> FoundEntries:
        """Search by words, in one round trip; ``hits`` are the best, ranked. Raises ``StoreUnavailable``."""
        if top_k < 1 or not query.phrase:
            return FoundEntries(query, [], [])
        lookup = self._index.lookup(query)
        candidates = await self._searched(lambda opened: opened.searches.words(lookup), len)
        return FoundEntries(query, candidates, self._ranked(query, candidates, top_k))

    async def search_near(
        self, found: FoundEntries, vector: Sequence[float], fingerprint: str, top_k: int
    ) -> list[SearchHit]:
        """Return the best of what was found by words and of what is near the vector, in one round trip. Ignores a
        vector whose dimension differs from the store's. Raises ``StoreUnavailable``.
        """
        if top_k < 1 or not self._fits(vector):
            return found.hits
        lookup = self._index.lookup(found.query)
        candidates = await self._searched(
            lambda opened: opened.searches.near(lookup, found.candidates, vector, fingerprint), len
        )
        return self._ranked(found.query, candidates, top_k)

    async def search_texts(self, terms: Sequence[TextTerm]) -> FoundTexts:
        """Return the texts that hold a term, in one round trip. Raises ``StoreUnavailable``."""
        return await self._searched(lambda opened: opened.searches.texts(terms), lambda found: len(found.candidates))

    async def near_texts(self, found: FoundTexts, vector: Sequence[float], fingerprint: str) -> FoundTexts:
        """Return the same with similarities, and other texts near the vector. Raises ``StoreUnavailable``."""
        if not self._fits(vector):
            return found
        return await self._searched(
            lambda opened: opened.searches.near_texts(found, vector, fingerprint), lambda near: len(near.candidates)
        )

    async def with_prefix(self, prefix: str, limit: int) -> list[SearchHit]:
        """Return entries whose first lemma key or gloss key begins with ``prefix``; up to ``limit`` of each."""
        return await self._run(lambda opened: opened.documents.with_prefix(prefix, limit))

    async def list_words(
        self, language: Language, *, letter: str, contains: str, after: ListPosition | None, limit: int
    ) -> ListedWords:
        """Return a page of the alphabetical list of a language, and the counts of the whole list."""
        parameters = list_parameters(language, letter, contains, after, limit)
        return await self._run(lambda opened: opened.word_list.page(parameters))

    async def entry(self, document_id: str) -> EntryDocuments | None:
        """Return an entry with its examples and sub-entries, ``MAX_PARTS`` at most; ``None``: there is none."""
        return await self._run(lambda opened: opened.word_list.entry(document_id))

    async def upsert(self, documents: Sequence[Document]) -> UpsertReport:
        """Insert or replace by id, all or nothing; the last of several documents with one id wins."""
        return await self._run(lambda opened: opened.documents.upsert(documents), statements=3)

    async def compare(self, documents: Sequence[Document]) -> UpsertReport:
        """Return what ``upsert`` would do."""
        return await self._run(lambda opened: opened.documents.compare(documents))

    async def sources(self, pattern: str) -> list[StoredSource]:
        """Return the sources and kinds of documents, with the number of ids that match ``pattern``."""
        return await self._run(lambda opened: opened.documents.sources(pattern))

    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it existed."""
        return await self.delete_many([document_id]) > 0

    async def delete_many(self, ids: Sequence[str]) -> int:
        """Delete documents, all or nothing; return how many existed."""
        return await self._run(lambda opened: opened.documents.delete_many(ids))

    async def documents_of_source(self, source: str) -> dict[str, str]:
        """Return ids and contents of the documents whose ``metadata.source`` is ``source``."""
        return await self._run(lambda opened: opened.documents.of_source(source))

    async def pending(self, fingerprint: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (id, content) without a vector of this fingerprint."""
        return await self._run(lambda opened: opened.documents.pending(fingerprint, limit))

    async def set_vectors(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        fingerprint: str,
        contents: Sequence[str] | None = None,
    ) -> None:
        """Store vectors of documents that are still there and, with ``contents``, unchanged."""
        wrong = next((len(vector) for vector in vectors if len(vector) != self._dimension), None)
        if wrong is not None:
            raise WrongDimension(
                f"the embedding model makes vectors of dimension {wrong}, the store is set to {self._dimension}: set "
                f"EMBEDDING_DIMENSION={wrong}, and all vectors are made anew"
            )
        if len(ids) != len(vectors) or (contents is not None and len(contents) != len(ids)):
            raise ValueError("ids, vectors and contents differ in number")
        await self._run(lambda opened: opened.documents.set_vectors(ids, vectors, fingerprint, contents), statements=2)

    async def begin_vectors(self, count: int, documents: int) -> None:
        """Prepare for writing ``count`` vectors: where they are many, the vector indexes are built at the end."""
        await self._run(lambda opened: opened.vector_indexes.drop(count, documents), statements=2)

    async def end_vectors(self) -> None:
        """Build the vector indexes that are missing."""
        await self._run(lambda opened: opened.vector_indexes.build(), statements=_BUILD_STATEMENTS)

    async def stats(self, fingerprint: str | None) -> StoreStats:
        """Count the documents; without a fingerprint, those without any vector are pending."""
        return await self._run(lambda opened: opened.documents.stats(fingerprint))

    def _fits(self, vector: Sequence[float]) -> bool:
        if len(vector) == self._dimension:
            return True
        logger.warning("query vector of dimension %d left aside, the store has %d", len(vector), self._dimension)
        return False

    def _ranked(self, query: ParsedQuery, candidates: Sequence[Candidate], top_k: int) -> list[SearchHit]:
        total = self._opened.documents.total if self._opened is not None else 0
        return self._index.rank(query, candidates, max(total, len(candidates)), top_k)

    async def _searched(self, work: Callable[[_Opened], Awaitable[T]], count: Callable[[T], int]) -> T:
        """Run a search in a span that tells how many documents it found."""
        with tracing.ending(tracing.start_span("SELECT documents", SpanKind.CLIENT)) as span:
            tracing.annotate(span, _SEARCH_SPAN)
            found = await self._run(work)
            tracing.annotate(span, {"db.response.returned_rows": count(found)})
            return found

    async def _run(self, work: Callable[[_Opened], Awaitable[T]], *, statements: int = 1) -> T:
        """Run ``work`` on psycopg's event loop, once the database is ready, within the time of its statements."""

        async def when_ready() -> T:
            return await work(await self._ready())

        return await self._database.run(when_ready(), limit_s=self._database.patience_s(statements))

    # -- run on psycopg's event loop --------------------------------------------------------------

    async def _ready(self) -> _Opened:
        if self._closed:
            raise StoreUnavailable("the document store is closed")
        if self._opened is not None:
            return self._opened
        # All callers share one start attempt; sequential attempts would add up for the last one.
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._database.limited(self._start(), _START_S))
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Opened:
        await self._database.open()
        async with self._database.connection() as connection:
            with _schema_errors():
                info = await migrate(connection, dimension=self._dimension, schema=self._schema)
                names = Names(self._schema, info, self._languages)
                # Texts stored with other languages, or before there were any.
                if await _is_true(connection, names.sql(_HAS_OTHER_LANGUAGES)):
                    async with connection.transaction():
                        await connection.execute("SET LOCAL statement_timeout = 0")
                        await connection.execute(reindex_statement(names))
                word_list = WordList(self._database, names, self._index)
                await word_list.fill(connection)
            counted = names.sql("SELECT count(*) FROM {schema}.rag_documents")
            row = await (await connection.execute(counted)).fetchone()
        total = row[0] if row else 0
        self._opened = _Opened(
            Searches(self._database, names),
            Documents(self._database, names, self._index, total),
            VectorIndexes(self._database, names),
            word_list,
        )
        return self._opened

    async def _select_one(self) -> None:
        async with self._database.connection() as connection:
            await connection.execute("SELECT 1")


async def _is_true(connection: psycopg.AsyncConnection[Any], statement: sql.Composed) -> bool:
    return (await (await connection.execute(statement)).fetchone()) == (True,)


@contextmanager
def _schema_errors() -> Iterator[None]:
    try:
        yield
    except NewerSchema as error:
        raise StoreTooNew(str(error)) from error
    except MigrationError as error:
        raise StoreUnavailable(str(error)) from error
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        raise StoreUnavailable(
            f"the database schema cannot be prepared ({type(error).__name__}: {error}); the user of DATABASE_URL must "
            "be allowed to create tables, or find them made and open to it (docs/supabase.md), and the extension "
            "'vector' must be available"
        ) from error
