"""The table of reports: counted rows, bounded in number."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from psycopg import sql
from psycopg.rows import class_row

from adapters.base import GivenReport, Report
from adapters.postgres.database import Database

ROWS_OF_A_KIND: Final = 2_000
"""A kind that is full keeps counting what it has; the others have rooms of their own."""
_SHOWN_CHARS: Final = 200

_ADD = """
WITH given AS (
    SELECT kind, subject, note, count
    FROM jsonb_to_recordset(%(given)s::jsonb) AS g(kind text, subject text, note text, count bigint)
),
taken AS (SELECT kind, count(*) AS rows FROM {schema}.rag_reports GROUP BY kind),
placed AS (
    SELECT g.*, r.id IS NULL AS is_new,
        row_number() OVER (PARTITION BY g.kind, r.id IS NULL ORDER BY g.subject) AS place
    FROM given g LEFT JOIN {schema}.rag_reports r USING (kind, subject, note)
)
INSERT INTO {schema}.rag_reports AS r (kind, subject, note, count)
SELECT p.kind, p.subject, p.note, p.count FROM placed p LEFT JOIN taken f USING (kind)
WHERE NOT p.is_new OR p.place <= %(rows)s - coalesce(f.rows, 0)
ORDER BY p.kind, p.subject, p.note
ON CONFLICT (kind, subject, note) DO UPDATE SET count = r.count + excluded.count, last_at = now()
"""
_ALL = """
SELECT r.id, r.kind, r.subject, r.note, r.count, r.first_at, r.last_at, left(d.content, %(shown)s) AS content
FROM {schema}.rag_reports r
LEFT JOIN {schema}.rag_documents d ON r.kind = ANY(%(about)s::text[]) AND d.id = r.subject
WHERE %(kind)s::text IS NULL OR r.kind = %(kind)s
ORDER BY r.kind, r.count DESC, r.last_at DESC, r.id
"""
_ABOUT_ENTRIES: Final = ["error", "helpful", "unhelpful"]


class PostgresReports:
    """A ``ReportStore`` in the documents' database.

    Args:
        database: the documents'.
        ready: awaited first: connects and migrates.
        schema: where the table lives.

    """

    def __init__(self, database: Database, ready: Callable[[], Awaitable[object]], schema: str) -> None:
        self._database = database
        self._ready = ready
        self._schema = sql.Identifier(schema)

    async def add(self, given: Mapping[GivenReport, int]) -> int:
        """Add to the counts; return how many reports found no room. Raises ``StoreUnavailable``."""
        return await self._database.run(self._add(given))

    async def all(self, kind: str | None = None) -> list[Report]:
        """Return the reports, by kind, the most frequent first. Raises ``StoreUnavailable``."""
        return await self._database.run(self._all(kind))

    async def delete(self, report_id: int) -> bool:
        """Delete a report; return whether it existed. Raises ``StoreUnavailable``."""
        return await self._database.run(self._delete(report_id))

    async def _add(self, given: Mapping[GivenReport, int]) -> int:
        await self._ready()
        rows = [
            {"kind": each.kind, "subject": each.subject, "note": each.note, "count": count}
            for each, count in given.items()
        ]
        parameters = {"given": json.dumps(rows, ensure_ascii=False), "rows": ROWS_OF_A_KIND}
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._sql(_ADD), parameters)
            return len(rows) - cursor.rowcount

    async def _all(self, kind: str | None) -> list[Report]:
        await self._ready()
        parameters = {"kind": kind, "about": _ABOUT_ENTRIES, "shown": _SHOWN_CHARS}
        async with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=class_row(Report))
            return await (await cursor.execute(self._sql(_ALL), parameters)).fetchall()

    async def _delete(self, report_id: int) -> bool:
        await self._ready()
        async with self._database.transaction() as connection:
            cursor = await connection.execute(self._sql("DELETE FROM {schema}.rag_reports WHERE id = %s"), [report_id])
        return cursor.rowcount > 0

    def _sql(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(schema=self._schema)
