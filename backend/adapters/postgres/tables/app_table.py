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


async def app_table_rows(dsn: Dsn, table: str) -> list[dict[str, Any]]:
    """Return every row of ``bora_docs`` by its id, joined with the lexicon rows it references: ``id kind content
    metadata lemma subentry example``.

    ``dsn`` is a connection string or an async function that returns one, ``table`` is ``name`` or ``schema.name``.
    Raises ``NoSuchTable`` and ``StoreUnavailable``.
    """
    database = Database(dsn, pool_size=1, timeout_s=_TIMEOUT_S, statement_timeout_s=_TIMEOUT_S)
    try:
        await database.run(database.open())
        return await database.run(_read(database, table.split(".")))
    except psycopg.ProgrammingError as error:
        raise NoSuchTable(f"the table {table} cannot be read: {error.diag.message_primary}") from error
    finally:
        await database.close()


async def _read(database: Database, place: list[str]) -> list[dict[str, Any]]:
    columns, joins = sql.Composed([]), sql.Composed([])
    schema = place[:-1]
    async with database.transaction() as connection:
        for name, (table, key) in _LEXICON.items():
            # The lexicon tables are in the same schema as the table of documents; some may be missing.
            found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [".".join([*schema, table])])
            value: sql.Composable = sql.SQL("NULL::jsonb")
            if await found.fetchone() == (True,):
                # The alias differs from ``name``: the lexicon has a column of that name, which would take precedence.
                alias = sql.Identifier(f"linked_{name}")
                value = sql.SQL("to_jsonb({}) - 'raw'").format(alias)
                joins += sql.SQL(" LEFT JOIN {} AS {} ON {}.id = d.{}").format(
                    sql.Identifier(*schema, table), alias, alias, sql.Identifier(key)
                )
            columns += sql.SQL(", {} AS {}").format(value, sql.Identifier(name))
        statement = sql.SQL("SELECT d.id, d.kind, d.content, d.metadata{} FROM {} AS d{} ORDER BY d.id")
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(statement.format(columns, sql.Identifier(*place), joins))
        return await cursor.fetchall()
