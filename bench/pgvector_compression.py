"""What pgvector makes of compressed embeddings: size, time and recall@10 of each type, on the embedded Postgres.

    python dev.py bench embedding_compression -- --save FILE.npz
    python dev.py bench pgvector_compression -- FILE.npz

The last line on standard output is one JSON object. The exit status tells whether the measuring
worked, not whether the target is reached.
"""

# environment: backend
# needs: FILE.npz

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))

from adapters.embedded_postgres import EmbeddedPostgres
from bench.figures import Figure, print_figures, print_summary
from bench.vector_search import Floats, Ids, float_search

TOP = 10
TARGET = 0.95
SCHEMA = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE full_vectors (id bigint PRIMARY KEY, embedding vector(384));
CREATE TABLE half_vectors (id bigint PRIMARY KEY, embedding halfvec(384));
CREATE TABLE bit_vectors  (id bigint PRIMARY KEY, bits bit(384));
"""
INDEXES = {
    "full_vectors": "CREATE INDEX ON full_vectors USING hnsw (embedding vector_cosine_ops);",
    "half_vectors": "CREATE INDEX ON half_vectors USING hnsw (embedding halfvec_cosine_ops);",
    "bit_vectors": "CREATE INDEX ON bit_vectors USING hnsw (bits bit_hamming_ops);",
}
FULL = """
SELECT id FROM full_vectors ORDER BY embedding <=> %(vector)s::vector LIMIT 10;
"""
HALF = """
SELECT id FROM half_vectors ORDER BY embedding <=> %(vector)s::halfvec LIMIT 10;
"""
RESCORED = """
SELECT id FROM (
    SELECT id FROM bit_vectors ORDER BY bits <~> %(bits)s::bit(384) LIMIT 100
) AS near JOIN half_vectors USING (id)
ORDER BY embedding <=> %(vector)s::halfvec LIMIT 10;
"""
# Without it an index gives at most 40 rows, however high the limit.
EF_SEARCH = """
SET hnsw.ef_search = 200;
"""
QUERIES = {"vector": FULL, "halfvec": HALF, "bit, 100 rescored with halfvec": RESCORED}
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Measured:
    """A way to search. Recall is the share of the exact first ten; time in milliseconds a query."""

    recall: float
    p50_ms: float


@dataclass(frozen=True)
class Stored:
    """A table and its index: bytes for each vector, and seconds to build the index."""

    table_bytes: float
    index_bytes: float
    index_s: float


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="vectors kept by embedding_compression --save")
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    kept = np.load(options.file)
    documents, queries = kept["documents"], kept["queries"][: options.queries]
    with tempfile.TemporaryDirectory(prefix="bench-pgvector-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        try:
            with psycopg.connect(asyncio.run(postgres.uri()), autocommit=True) as connection:
                stored, exact, indexed = _measure(connection, documents, queries)
        finally:
            asyncio.run(postgres.stop())
    _print(stored, exact, indexed)
    recall = indexed["bit, 100 rescored with halfvec"].recall
    figures = [Figure("recall@10, bit with HNSW, 100 rescored", recall, "", ">=", TARGET)]
    print_figures(figures)
    details = {
        "documents": len(documents),
        "queries": len(queries),
        "stored": {name: asdict(value) for name, value in stored.items()},
        "exact": {name: asdict(value) for name, value in exact.items()},
        "hnsw": {name: asdict(value) for name, value in indexed.items()},
    }
    print_summary("pgvector_compression", figures, details)
    return 0


def _measure(
    connection: Connection, documents: Floats, queries: Floats
) -> tuple[dict[str, Stored], dict[str, Measured], dict[str, Measured]]:
    nearest = float_search(queries, documents, TOP)
    expected = [nearest(number) for number in range(len(queries))]
    connection.execute(SCHEMA)
    _fill(connection, "full_vectors", documents, vector_literal)
    _fill(connection, "half_vectors", documents, vector_literal)
    _fill(connection, "bit_vectors", documents, bit_literal)
    exact = {name: _search(connection, name, sql, queries, expected) for name, sql in QUERIES.items()}
    stored = {table: _index(connection, table, sql, len(documents)) for table, sql in INDEXES.items()}
    connection.execute(EF_SEARCH)
    indexed = {name: _search(connection, name, sql, queries, expected) for name, sql in QUERIES.items()}
    return stored, exact, indexed


def vector_literal(vector: Floats) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def bit_literal(vector: Floats) -> str:
    """Return the bits that the service packs into ``output_dtype: binary``, as Postgres reads them."""
    return "".join(f"{byte:08b}" for byte in np.packbits(vector > 0))


def _fill(connection: Connection, table: str, documents: Floats, literal: Callable[[Floats], str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for number, vector in enumerate(documents):
            copy.write_row((number, literal(vector)))
    connection.execute(f"VACUUM ANALYZE {table}".encode())
    print(f"  {table}: {len(documents)} rows", flush=True)


def _index(connection: Connection, table: str, sql: str, rows: int) -> Stored:
    started = time.perf_counter()
    connection.execute(sql.encode())
    seconds = time.perf_counter() - started
    found = connection.execute("SELECT pg_table_size(%(t)s::regclass), pg_indexes_size(%(t)s::regclass)", {"t": table})
    primary = connection.execute("SELECT pg_relation_size(%s::regclass)", [f"{table}_pkey"]).fetchone()
    sizes = found.fetchone()
    assert sizes is not None
    assert primary is not None
    print(f"  {table}: index built in {seconds:.1f} s", flush=True)
    return Stored(round(sizes[0] / rows, 1), round((sizes[1] - primary[0]) / rows, 1), round(seconds, 2))


def _search(connection: Connection, name: str, sql: str, queries: Floats, expected: Sequence[Ids]) -> Measured:
    times, shares = [], []
    for query, right in zip(queries, expected, strict=True):
        parameters = {"vector": vector_literal(query), "bits": bit_literal(query)}
        started = time.perf_counter()
        rows = connection.execute(sql.encode(), parameters).fetchall()
        times.append(time.perf_counter() - started)
        shares.append(len({row[0] for row in rows} & set(right.tolist())) / len(right))
    print(f"  searched: {name}", flush=True)
    return Measured(round(statistics.fmean(shares), 4), round(1000 * statistics.median(times), 2))


def _print(stored: dict[str, Stored], exact: dict[str, Measured], indexed: dict[str, Measured]) -> None:
    print(f"\n{'table':<16}{'row, bytes':>12}{'HNSW, bytes':>13}{'built in s':>12}")
    for table, size in stored.items():
        print(f"{table:<16}{size.table_bytes:>12.0f}{size.index_bytes:>13.0f}{size.index_s:>12.1f}")
    print(f"\n{'search':<34}{'exact: recall':>14}{'ms':>8}{'HNSW: recall':>14}{'ms':>8}")
    for name, found in exact.items():
        hnsw = indexed[name]
        print(f"{name:<34}{found.recall:>14.4f}{found.p50_ms:>8.2f}{hnsw.recall:>14.4f}{hnsw.p50_ms:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
