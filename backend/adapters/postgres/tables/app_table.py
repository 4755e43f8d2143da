"""Read-only access to ``bora_docs``, the table of the app that this backend replaces."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.postgres.database import Database, Dsn

_TIMEOUT_S = 60.0
_LEXICON = {
    "lemma": ("lexicon_lemmas", "parent_lemma_id"),
    "subentry": ("lexicon_subentries", "subentry_id"),
    "example": ("lexicon_examples", "example_id"),
}
"""By the name under which a row of the lexicon is returned: its table, and the column that references it."""


class NoSuchTable(Exception):
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

    async def rows(self) -> list[dict[str, Any]]:
        """Return every row by its id: ``id kind content metadata lemma subentry example``.

        Raises ``NoSuchTable`` and ``StoreUnavailable``.
        """
        await self._database.run(self._database.open())
        try:
            return await self._database.run(self._read())
        except psycopg.ProgrammingError as error:
            raise NoSuchTable(f"the table {self._table} cannot be read: {error.diag.message_primary}") from error

    async def close(self) -> None:
        """Disconnect."""
        await self._database.close()

    async def _read(self) -> list[dict[str, Any]]:
        columns, joins = sql.Composed([]), sql.Composed([])
        schema = self._table.split(".")[:-1]
        async with self._database.transaction() as connection:
            for name, (table, key) in _LEXICON.items():
                # The lexicon tables are in the same schema as the table of documents; some may be missing.
                found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [".".join([*schema, table])])
                value: sql.Composable = sql.SQL("NULL::jsonb")
                if await found.fetchone() == (True,):
                    # The alias must differ from ``name``: the lexicon has a column of that name, which would take
                    # precedence.
                    alias = sql.Identifier(f"linked_{name}")
                    value = sql.SQL("to_jsonb({}) - 'raw'").format(alias)
                    joins += sql.SQL(" LEFT JOIN {} AS {} ON {}.id = d.{}").format(
                        sql.Identifier(*schema, table), alias, alias, sql.Identifier(key)
                    )
                columns += sql.SQL(", {} AS {}").format(value, sql.Identifier(name))
            statement = sql.SQL("SELECT d.id, d.kind, d.content, d.metadata{} FROM {} AS d{} ORDER BY d.id")
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement.format(columns, sql.Identifier(*self._table.split(".")), joins))
            return await cursor.fetchall()
