"""How long a search takes at 10,000 and at 200,000 documents, the embedding call included.

    python dev.py bench search_speed [-- --quick | --documents N … | --without-service]

Fills a fresh embedded Postgres with made-up dictionaries of that size and asks questions of several kinds,
one after the other, the way the backend does: the real LLM service embeds the question with MiniLM, then one
statement searches by words and by vector. The vectors of the documents are mixtures of real ones with
noise. Shows with EXPLAIN that both kinds of index are used. The last line on standard output is one JSON
object; the exit status tells whether the measuring worked, not whether the targets are reached.
"""

# environment: backend

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))

import numpy as np
import numpy.typing as npt
import psycopg

from adapters.base import Document, Embedder, Embeddings
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.llm_service_config import ServiceConfig
from adapters.search_sql import search_parameters, search_query, search_settings
from adapters.supabase_adapter import SupabaseAdapter
from bench import program
from bench.embedding_service import embedding_service
from bench.figures import Figure
from bench.filled_postgres import fill
from bench.invented_dictionary import InventedDictionary
from bench.loadgen import percentile
from bench.search_questions import timed_questions
from services.formats import read_records
from services.query_parser import parse_query
from services.retrieval import Retrieval, Retriever

DIMENSION, SAMPLED, BATCH = 384, 2_000, 250
DOCUMENTS_AN_ENTRY = 2.1
TARGETS_MS = {10_000: 15.0, 200_000: 40.0}
INDEXES = ("rag_documents_embedding", "rag_documents_words", "rag_documents_lemma_keys", "rag_documents_near_keys")
NOISE = 0.4
Vectors = npt.NDArray[np.float32]


class MadeUp:
    """Random unit vectors in no time, where the service is left out."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(7)

    async def embed_texts(self, texts: Sequence[str], *, request_id: str | None = None) -> Embeddings:
        """Return one vector a text."""
        del request_id
        return Embeddings(_unit(self._rng.normal(size=(len(texts), DIMENSION))).tolist(), "none", "made-up", "none")


def main() -> int:
    """Run the benchmark."""
    parser = program.parser(__doc__ or "", 1)
    parser.add_argument("--documents", type=int, nargs="+", default=None, metavar="N")
    parser.add_argument("--questions", type=int, default=None, metavar="N", help="of each kind")
    parser.add_argument("--without-service", action="store_true", help="made-up vectors for the questions too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the databases there and use them again")
    parser.add_argument("--explain", action="store_true", help="print the plans")
    options = parser.parse_args()
    return program.main("search_speed", options, lambda: asyncio.run(_measure(options)))


async def _measure(options: argparse.Namespace) -> program.Report:
    sizes = options.documents or ([2_000, 10_000] if options.quick else [10_000, 200_000])
    count = options.questions or (25 if options.quick else 100)
    figures, details = [], {}
    async with _embedder(options.without_service) as embedder:
        for size in sizes:
            found = await _one_size(size, count, embedder, options)
            details[str(size)] = found
            target = TARGETS_MS.get(size, 15.0 if size < 10_000 else 40.0)
            for kind, spread in found["kinds"].items():
                figures.append(Figure(f"{size:,} documents, {kind}, p50", spread["p50_ms"], "ms", "<=", target))
    return figures, {"embedding": "made up" if options.without_service else "MiniLM, LLM service", "sizes": details}


@contextlib.asynccontextmanager
async def _embedder(made_up: bool) -> AsyncIterator[Embedder]:
    if made_up:
        yield MadeUp()
        return
    with embedding_service() as url:
        adapter = LLMServiceAdapter(ServiceConfig(urls=(url,)))
        try:
            yield adapter
        finally:
            await adapter.close()


async def _one_size(size: int, count: int, embedder: Embedder, options: argparse.Namespace) -> dict[str, Any]:
    program.note(f"{size:,} documents")
    dictionary = InventedDictionary(round(size / DOCUMENTS_AN_ENTRY) + 100)
    documents = read_records(list(dictionary.records())).documents[:size]
    with _folder(options.keep, size) as folder:
        postgres = EmbeddedPostgres(folder)
        await postgres.start()
        store = SupabaseAdapter(postgres.uri, timeout_s=30.0)
        try:
            url = await postgres.uri()
            await store.start()
            took = await _filled(url, documents, embedder)
            await store.close()
            await store.start()
            questions = timed_questions(dictionary, documents, count, seed=11)
            kinds, parts, slowest = await _ask(Retriever(store, embedder, embed_timeout_s=30.0), questions)
            plans = await _plans(url, slowest, embedder, show=options.explain)
        finally:
            await store.close()
            await postgres.stop()
    program.table(f"{size:,} documents: milliseconds of a search, embedding call included", kinds)
    program.table("of which", parts)
    print(f"  indexes in the plan: {', '.join(plans)}")
    return {"documents": len(documents), "fill_s": took, "kinds": kinds, "parts": parts, "indexes_used": plans}


@contextlib.contextmanager
def _folder(keep: Path | None, size: int) -> Iterator[Path]:
    if keep is not None:
        yield keep / str(size)
        return
    folder = Path(tempfile.mkdtemp(prefix="bora-search-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _filled(url: str, documents: Sequence[Document], embedder: Embedder) -> dict[str, float]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM rag_documents").fetchone()
    if row == (len(documents),):
        return {}
    started = time.perf_counter()
    base, fingerprint = await _base_vectors(documents, embedder)
    program.note(f"  {len(base):,} vectors made in {time.perf_counter() - started:.1f} s")
    return await asyncio.to_thread(fill, url, documents, _mixtures(base, len(documents)), fingerprint, program.note)


async def _base_vectors(documents: Sequence[Document], embedder: Embedder) -> tuple[Vectors, str]:
    sampled = documents[:: max(1, len(documents) // SAMPLED)][:SAMPLED]
    found = [
        await embedder.embed_texts([document.content for document in sampled[at : at + BATCH]])
        for at in range(0, len(sampled), BATCH)
    ]
    return np.array([vector for part in found for vector in part.vectors], dtype=np.float32), found[0].fingerprint


def _mixtures(base: Vectors, count: int) -> Iterator[Vectors]:
    """Vectors that lie about as real ones do: between two real ones, with noise."""
    rng = np.random.default_rng(7)
    for at in range(0, count, 1_000):
        size = min(1_000, count - at)
        one, other = base[rng.integers(len(base), size=size)], base[rng.integers(len(base), size=size)]
        noise = NOISE * rng.normal(size=(size, DIMENSION)) / DIMENSION**0.5
        yield from _unit(one + rng.random((size, 1)) * other + noise)


def _unit(vectors: npt.NDArray[Any]) -> Vectors:
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


async def _ask(
    retriever: Retriever, questions: Mapping[str, Sequence[str]]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]], dict[str, str]]:
    """Return durations by kind, the medians of their parts, and the slowest question of each kind."""
    for texts in questions.values():  # what is read for the first time comes from the disk
        for text in texts[: len(texts) // 4]:
            await retriever.retrieve(f"{text} otra", 5)
    kinds, parts, slowest = {}, {}, {}
    for kind, texts in questions.items():
        took: list[float] = []
        found: list[Retrieval] = []
        for text in texts:
            started = time.perf_counter()
            found.append(await retriever.retrieve(text, 5))
            took.append(time.perf_counter() - started)
        kinds[kind] = {**program.spread_ms(took), "p99_ms": round(1000 * percentile(took, 0.99), 3)}
        parts[kind] = {
            name: round(percentile([retrieval.timings_ms[name] for retrieval in found], 0.5), 2)
            for name in ("embed_ms", "search_ms")
        }
        slowest[kind] = texts[took.index(max(took))]
        parts[kind]["degraded"] = sum(retrieval.degraded for retrieval in found)
    return kinds, parts, slowest


async def _plans(url: str, questions: Mapping[str, str], embedder: Embedder, *, show: bool) -> list[str]:
    """Return the indexes that the plans of all kinds of question use."""
    from adapters.migrations import SchemaInfo

    used: dict[str, set[str]] = {}
    info = SchemaInfo("public", (0, 8))
    with psycopg.connect(url) as connection:
        for kind, text in questions.items():
            made = await embedder.embed_texts([text])
            parameters = search_parameters(parse_query(text), made.vectors[0], made.fingerprint)
            cursor = psycopg.ClientCursor(connection)
            cursor.execute(search_settings(info, with_vector=True, timeout_ms=60_000))
            query = search_query("public", info, with_vector=True)
            cursor.execute(psycopg.sql.SQL("EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) ") + query, parameters)
            lines = [str(row[0]) for row in cursor.fetchall()]
            used[kind] = {name for name in INDEXES if any(f" {name}" in line for line in lines)}
            if show:
                print(f"\n== {kind}: {text}", *(line[:180] for line in lines), sep="\n")
            connection.rollback()
    return sorted(set.intersection(*used.values()))


if __name__ == "__main__":
    sys.exit(main())
