"""The table of listed words: a page of the alphabetical list, one entry with its parts."""

import asyncio
from typing import Any

import psycopg

from adapters.base import Document, EntryDocuments, ListedWord, ListedWords, TextIndex
from adapters.postgres.database import Database
from adapters.postgres.document_sql import upsert_parameter
from adapters.postgres.list_sql import ENTRY, INSERT_WORDS, LIST_WORDS, MAX_PARTS, WITHOUT_WORDS
from adapters.postgres.names import Names

_BATCH = 1_000


class WordList:
    """Reads the list; ``Documents`` writes it beside the entries.

    Args:
        database: the connections.
        names: where the table lives.
        index: listed words of a document.

    """

    def __init__(self, database: Database, names: Names, index: TextIndex) -> None:
        self._database = database
        self._names = names
        self._index = index

    async def page(self, parameters: dict[str, Any]) -> ListedWords:
        """Return a page, by the parameters of ``LIST_WORDS``."""
        async with self._database.transaction() as connection:
            row = await (await connection.execute(self._names.sql(LIST_WORDS), parameters)).fetchone()
        counts, words = row if row is not None else ({}, [])
        return ListedWords([ListedWord(*word) for word in words], counts)

    async def entry(self, document_id: str) -> EntryDocuments | None:
        """Return an entry with its examples and sub-entries."""
        parameters = {"id": document_id, "max_parts": MAX_PARTS}
        async with self._database.transaction() as connection:
            row = await (await connection.execute(self._names.sql(ENTRY), parameters)).fetchone()
        if row is None:
            return None
        kind, content, metadata, parts = row
        return EntryDocuments(Document(document_id, kind, content, metadata), [Document(*part) for part in parts])

    async def fill(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Store the listed words of entries that have none. A batch is a transaction: what is done stays done."""
        after = ""
        while True:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                found = self._names.sql(WITHOUT_WORDS), {"after": after, "limit": _BATCH}
                rows = await (await connection.execute(*found)).fetchall()
                documents = [Document(*row) for row in rows]
                if documents:
                    parameter = await asyncio.to_thread(upsert_parameter, documents, self._index)
                    await connection.execute(self._names.sql(INSERT_WORDS), [parameter])
            if len(documents) < _BATCH:
                return
            after = documents[-1].id
