"""The table of reports: counted rows, bounded in number."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from adapters.ports.reports import GivenReport, Report
from adapters.postgres.store import Store

ROWS_OF_A_KIND: Final = 2_000
"""A kind that is full still counts its stored reports; every kind has a separate limit."""
_SHOWN_CHARS: Final = 200

_ADD = """
WITH given AS (
    SELECT kind, subject, note, count
    FROM jsonb_to_recordset(%(given)s::jsonb) AS g(kind text, subject text, note text, count bigint)
),
taken AS (SELECT kind, count(*) AS rows FROM public.rag_reports GROUP BY kind),
placed AS (
    SELECT g.*, r.id IS NULL AS is_new,
        row_number() OVER (PARTITION BY g.kind, r.id IS NULL ORDER BY g.subject) AS place
    FROM given g LEFT JOIN public.rag_reports r USING (kind, subject, note)
)
INSERT INTO public.rag_reports AS r (kind, subject, note, count)
SELECT p.kind, p.subject, p.note, p.count FROM placed p LEFT JOIN taken f USING (kind)
WHERE NOT p.is_new OR p.place <= %(rows)s - coalesce(f.rows, 0)
ORDER BY p.kind, p.subject, p.note
ON CONFLICT (kind, subject, note) DO UPDATE SET count = r.count + excluded.count, last_at = now()
RETURNING r.id
"""
_ALL = """
SELECT r.id, r.kind, r.subject, r.note, r.count, r.first_at, r.last_at, left(d.content, %(shown)s) AS content
FROM public.rag_reports r
LEFT JOIN public.rag_documents d ON r.kind = ANY(%(about)s::text[]) AND d.id = r.subject
WHERE %(kind)s::text IS NULL OR r.kind = %(kind)s
ORDER BY r.kind, r.count DESC, r.last_at DESC, r.id
"""
_DELETE = "DELETE FROM public.rag_reports WHERE id = %s RETURNING id"
_ABOUT_ENTRIES: Final = ["error", "helpful", "unhelpful"]


class PostgresReports:
    """A ``ReportStore`` in the documents' database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, given: Mapping[GivenReport, int]) -> int:
        """Add to the counts; return how many reports found no room. Raises ``StoreUnavailable``."""
        rows = [asdict(each) | {"count": count} for each, count in given.items()]
        parameters = {"given": json.dumps(rows, ensure_ascii=False), "rows": ROWS_OF_A_KIND}
        return len(rows) - len(await self._store.run(_ADD, parameters))

    async def all(self, kind: str | None = None) -> list[Report]:
        """Return the reports, by kind, the most frequent first. Raises ``StoreUnavailable``."""
        parameters = {"kind": kind, "about": _ABOUT_ENTRIES, "shown": _SHOWN_CHARS}
        return [Report(*row) for row in await self._store.run(_ALL, parameters)]

    async def delete(self, report_id: int) -> bool:
        """Delete a report; return whether it existed. Raises ``StoreUnavailable``."""
        return bool(await self._store.run(_DELETE, [report_id]))
