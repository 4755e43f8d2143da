"""The searches of a document store, each in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import dict_row

from adapters.base import Candidate, FoundTexts, Lookup, TextCandidate, TextTerm
from adapters.postgres.database import Database
from adapters.postgres.names import Names
from adapters.postgres.search_sql import near_parameters, near_statement, words_parameters, words_statement
from adapters.postgres.text_search_sql import (
    near_texts_parameters,
    near_texts_statement,
    text_words_parameters,
    text_words_statement,
)

_Rows = list[dict[str, Any]]


class Searches:
    """Runs the search statements, which are composed once."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        timeout_ms = database.timeout_ms
        self._words = words_statement(names, timeout_ms=timeout_ms).as_bytes(None)
        self._near = near_statement(names, timeout_ms=timeout_ms).as_bytes(None)
        self._text_words = text_words_statement(names, timeout_ms=timeout_ms).as_bytes(None)
        self._near_texts = near_texts_statement(names, timeout_ms=timeout_ms).as_bytes(None)

    async def words(self, lookup: Lookup) -> list[Candidate]:
        """Return what is found by words."""
        (rows,) = await self._fetch(self._words, words_parameters(lookup))
        return [Candidate(**row, similarity=None) for row in rows]

    async def near(
        self, lookup: Lookup, found: Sequence[Candidate], vector: Sequence[float], fingerprint: str
    ) -> list[Candidate]:
        """Return ``found`` with similarities, and what else is near the vector."""
        known, others = await self._fetch(self._near, near_parameters(lookup, found, vector, fingerprint))
        similarities = {row["id"]: row["similarity"] for row in known}
        # Words that found nothing are in no document.
        counts = found[0].term_counts if found else [0] * len(lookup.terms)
        return [
            *(replace(candidate, similarity=similarities.get(candidate.id)) for candidate in found),
            *(Candidate(**row, term_counts=counts) for row in others),
        ]

    async def texts(self, terms: Sequence[TextTerm]) -> FoundTexts:
        """Return the texts that hold a term."""
        (rows,) = await self._fetch(self._text_words, text_words_parameters(terms))
        candidates = [
            TextCandidate(row["id"], row["content"], row["metadata"], None) for row in rows if row["id"] is not None
        ]
        return FoundTexts(candidates, rows[0]["term_counts"], rows[0]["total"])

    async def near_texts(self, found: FoundTexts, vector: Sequence[float], fingerprint: str) -> FoundTexts:
        """Return ``found`` with similarities, and other texts near the vector."""
        parameters = near_texts_parameters(found.candidates, vector, fingerprint)
        known, others = await self._fetch(self._near_texts, parameters)
        similarities = {row["id"]: row["similarity"] for row in known}
        candidates = [
            *(replace(candidate, similarity=similarities.get(candidate.id)) for candidate in found.candidates),
            *(TextCandidate(**row) for row in others),
        ]
        return replace(found, candidates=candidates)

    async def _fetch(self, statement: bytes, parameters: Mapping[str, Any]) -> list[_Rows]:
        """Return the rows of each query of the message."""
        async with self._database.connection() as connection:
            # Client-side binding is what lets several statements travel in one message.
            cursor = psycopg.AsyncClientCursor(connection, row_factory=dict_row)
            await cursor.execute(statement, parameters)
            results: list[_Rows] = []
            more: bool | None = True
            while more:
                if cursor.description is not None:
                    results.append(await cursor.fetchall())
                more = cursor.nextset()
        return results
