"""Names that statements need: pgvector's schema, and the languages of texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Names:
    """Where pgvector lives, and Postgres's text search configurations for texts, besides ``simple``."""

    vector_schema: str
    vector_version: tuple[int, ...]
    languages: tuple[str, ...] = ()

    def sql(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Return ``text`` with the names in braces, and ``more`` of them, filled in."""
        return sql.SQL(text).format(
            vector=sql.Identifier(self.vector_schema),
            languages=sql.Literal(" ".join(self.languages)),
            **more,
        )


def configuration(name: str) -> sql.Composable:
    """Return one of Postgres's text search configurations."""
    return sql.SQL("{}::regconfig").format(sql.Literal(f"pg_catalog.{name}"))


def passage_words(languages: Sequence[str]) -> sql.Composable:
    """Return the expression for the words of a text, ``NULL`` for other documents."""
    parts = sql.SQL(" || ").join(
        sql.SQL("to_tsvector({}, passage_text)").format(configuration(name)) for name in ("simple", *languages)
    )
    return sql.SQL("CASE WHEN passage_text <> '' THEN {} END").format(parts)


def vector_literal(vector: Sequence[float]) -> str:
    """Return pgvector's text form of ``vector``."""
    return "[" + ",".join(f"{value:.7g}" for value in vector) + "]"
