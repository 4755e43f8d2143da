"""Read-only access to ``bora_docs``, the table of the app that this backend replaces."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.base import AdapterError
from adapters.postgres.database import Database, Dsn

_PAGE_ROWS = 2_000
_TIMEOUT_S = 60.0
_LEXICON = {"lemma": "lexicon_lemmas", "subentry": "lexicon_subentries", "example": "lexicon_examples"}
_KEYS = {"lemma": "parent_lemma_id", "subentry": "subentry_id", "example": "example_id"}


class NoSuchTable(AdapterError):
    """The table is missing, lacks a column, or is not readable."""


class AppTable:
    """Rows of ``bora_docs``, each joined with the lexicon rows it references.

    Args:
        dsn: connection string, or an async function that returns one.
        table: its name, as ``name`` or ``schema.name``.

    """

    def __init__(self, dsn: Dsn, table: str) -> None:
        self._database = Database(dsn, pool_size=1, timeout_s=_TIMEOUT_S, statement_timeout_s=_TIMEOUT_S)
        self._table = table
        self._name = sql.Identifier(*table.split("."))

    async def rows(self) -> list[dict[str, Any]]:
        """Return every row by its id: ``id kind content metadata lemma subentry example``.

        Raises ``NoSuchTable`` and ``StoreUnavailable``.
        """
        await self._database.run(self._database.open())
        try:
            joined = {name: await self._database.run(self._exists(table)) for name, table in _LEXICON.items()}
            statement = self._statement(joined)
            rows: list[dict[str, Any]] = []
            while page := await self._database.run(self._page(statement, rows[-1]["id"] if rows else None)):
                rows += page
        except psycopg.ProgrammingError as error:
            raise NoSuchTable(f"the table {self._table} cannot be read: {error.diag.message_primary}") from error
        return rows

    async def close(self) -> None:
        """Disconnect."""
        await self._database.close()

    async def _exists(self, table: str) -> bool:
        # The lexicon tables are in the same schema as the table of documents.
        full = ".".join([*self._table.split(".")[:-1], table])
        async with self._database.transaction() as connection:
            row = await (await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [full])).fetchone()
        return row is not None and bool(row[0])

    def _statement(self, joined: Mapping[str, bool]) -> sql.Composed:
        schema = self._table.split(".")[:-1]
        columns, joins = [], []
        for name, table in _LEXICON.items():
            if not joined[name]:
                columns.append(sql.SQL("NULL::jsonb AS {}").format(sql.Identifier(name)))
                continue
            # The alias must differ from ``name``: the lexicon has a column of that name, which would take precedence.
            alias = sql.Identifier(f"linked_{name}")
            columns.append(sql.SQL("to_jsonb({}) - 'raw' AS {}").format(alias, sql.Identifier(name)))
            joins.append(
                sql.SQL(" LEFT JOIN {} AS {} ON {}.id = d.{}").format(
                    sql.Identifier(*schema, table), alias, alias, sql.Identifier(_KEYS[name])
                )
            )
        return sql.SQL(
            "SELECT d.id, d.kind, d.content, d.metadata, {} FROM {} AS d{} "
            "WHERE %(after)s::bigint IS NULL OR d.id > %(after)s ORDER BY d.id LIMIT %(limit)s"
        ).format(sql.SQL(", ").join(columns), self._name, sql.Composed(joins))

    async def _page(self, statement: sql.Composed, after: int | None) -> list[dict[str, Any]]:
        async with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, {"after": after, "limit": _PAGE_ROWS})
            return await cursor.fetchall()
