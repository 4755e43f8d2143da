"""A Postgres filled in bulk: rows by COPY first, indexes after them, as one loads much at once."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo
from psycopg.types.json import Jsonb

from adapters.base import Document
from adapters.postgres.document_rows import document_row
from services.library.index import LibraryIndex

BUILD_SETTINGS = ("SET maintenance_work_mem = '1GB'", "SET max_parallel_maintenance_workers = 2")
_COLUMNS = {
    "id": "text", "kind": "text", "content": "text", "metadata": "text", "content_hash": "text", "direction": "text",
    "lemma_keys": "text[]", "gloss_keys": "text[]", "near_keys": "int4[]", "text_a": "text", "text_b": "text",
    "text_c": "text", "stem_a": "text", "stem_b": "text", "stem_c": "text",
}  # fmt: skip
Note = Callable[[str], None]


class Vector:
    """A vector in pgvector's binary form."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self.raw = len(values).to_bytes(2, "big") + b"\0\0" + values.astype(">f4").tobytes()


class VectorDumper(Dumper):
    """Hands a ``Vector`` to COPY."""

    format = Format.BINARY

    def dump(self, obj: Vector) -> bytes:
        """Return the bytes."""
        return obj.raw


def fill(
    url: str, documents: Sequence[Document], vectors: Iterable[npt.NDArray[np.float32]], fingerprint: str, note: Note
) -> dict[str, float]:
    """Put documents and their vectors into the empty table; return the seconds of each step."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in BUILD_SETTINGS:
            connection.execute(setting)
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'rag_documents' "
            "AND indexname <> 'rag_documents_pkey' ORDER BY indexdef LIKE '%hnsw%'"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        started = time.perf_counter()
        _copy(connection, documents, vectors, fingerprint)
        took = {"rows": time.perf_counter() - started}
        for name, definition in indexes:
            started = time.perf_counter()
            connection.execute(definition)
            note(f"  {name}: {time.perf_counter() - started:.0f} s")
            took[name.removeprefix("rag_documents_")] = time.perf_counter() - started
        connection.execute("VACUUM ANALYZE rag_documents")
    return {name: round(seconds, 1) for name, seconds in took.items()}


def _copy(
    connection: psycopg.Connection[Any],
    documents: Sequence[Document],
    vectors: Iterable[npt.NDArray[np.float32]],
    fingerprint: str,
) -> None:
    info = TypeInfo.fetch(connection, "vector")
    assert info is not None
    info.register(connection)
    VectorDumper.oid = info.oid
    connection.adapters.register_dumper(Vector, VectorDumper)
    columns = ", ".join([*_COLUMNS, "embedding_fingerprint", "embedding"])
    with connection.cursor().copy(f"COPY rag_documents ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(
            [*("jsonb" if name == "metadata" else kind for name, kind in _COLUMNS.items()), "text", "vector"]
        )
        for row in _rows(documents, vectors, fingerprint):
            copy.write_row(row)


def _rows(
    documents: Sequence[Document], vectors: Iterable[npt.NDArray[np.float32]], fingerprint: str
) -> Iterator[list[Any]]:
    for document, vector in zip(documents, vectors, strict=True):
        row = document_row(document, LibraryIndex())
        row["metadata"] = Jsonb(row["metadata"], dumps=lambda value: json.dumps(value, ensure_ascii=False))
        yield [*(row[name] for name in _COLUMNS), fingerprint, Vector(vector)]
