"""How long a search takes at 10,000 and at 200,000 documents, the embedding call included.

    python dev.py bench search_speed [-- --quick | --documents N …]

Fills a fresh embedded Postgres with made-up dictionaries of that size and asks questions of several kinds,
one after the other, the way the backend does: the real LLM service embeds the question with MiniLM, then one
statement searches by words and by vector. The vectors of the documents are mixtures of real ones with
noise. The last line on standard output is one JSON
object; the exit status tells whether the measuring worked, not whether the targets are reached.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.base import Document, Embedder
from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from bench.backend.filled_postgres import fill
from bench.backend.search_questions import timed_questions
from bench.data.invented_dictionary import InventedDictionary
from bench.harness import study
from bench.harness.services import embedding_service
from bench.harness.study import Figure, percentile
from services.library.formats import read_records
from services.library.index import LibraryIndex
from services.mentor.questions.parser import parse_query
from services.retrieval import Retrieval, Retriever

DIMENSION, SAMPLED, BATCH = 384, 2_000, 250
DOCUMENTS_AN_ENTRY = 2.1
TARGETS_MS = {10_000: 15.0, 200_000: 40.0}
NOISE = 0.4
Vectors = npt.NDArray[np.float32]


def main() -> int:
    """Run the benchmark."""
    parser = study.parser(__doc__ or "", 1)
    parser.add_argument("--documents", type=int, nargs="+", default=None, metavar="N")
    parser.add_argument("--questions", type=int, default=None, metavar="N", help="of each kind")
    options = parser.parse_args()
    return study.main("search_speed", options, lambda: asyncio.run(_measure(options)))


async def _measure(options: argparse.Namespace) -> study.Report:
    sizes = options.documents or ([2_000, 10_000] if options.quick else [10_000, 200_000])
    count = options.questions or (25 if options.quick else 100)
    figures, details = [], {}
    async with _embedder() as embedder:
        for size in sizes:
            found = await _one_size(size, count, embedder)
            details[str(size)] = found
            target = TARGETS_MS.get(size, 15.0 if size < 10_000 else 40.0)
            for kind, spread in found["kinds"].items():
                figures.append(Figure(f"{size:,} documents, {kind}, p50", spread["p50_ms"], "ms", "<=", target))
    return study.Report(figures, {"sizes": details})


@contextlib.asynccontextmanager
async def _embedder() -> AsyncIterator[Embedder]:
    with embedding_service() as service:
        service.wait_until_ready()
        adapter = LLMServiceAdapter(ServiceConfig(urls=(f"http://127.0.0.1:{service.port}",)))
        try:
            yield adapter
        finally:
            await adapter.close()


async def _one_size(size: int, count: int, embedder: Embedder) -> dict[str, Any]:
    study.note(f"{size:,} documents")
    dictionary = InventedDictionary(round(size / DOCUMENTS_AN_ENTRY) + 100)
    documents = read_records(list(dictionary.records())).documents[:size]
    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        await postgres.start()
        store = SupabaseAdapter(postgres.uri, LibraryIndex(), timeout_s=30.0)
        try:
            url = await postgres.uri()
            await store.start()
            took = await _filled(url, documents, embedder)
            await store.close()
            await store.start()
            questions = timed_questions(dictionary, documents, count, seed=11)
            kinds, parts = await _ask(Retriever(store, embedder, embed_timeout_s=30.0), questions)
        finally:
            await store.close()
            await postgres.stop()
    study.print_table(f"{size:,} documents: milliseconds of a search, embedding call included", kinds)
    study.print_table("of which", parts)
    return {"documents": len(documents), "fill_s": took, "kinds": kinds, "parts": parts}


async def _filled(url: str, documents: Sequence[Document], embedder: Embedder) -> dict[str, float]:
    started = time.perf_counter()
    base, fingerprint = await _base_vectors(documents, embedder)
    study.note(f"  {len(base):,} vectors made in {time.perf_counter() - started:.1f} s")
    return await asyncio.to_thread(fill, url, documents, _mixtures(base, len(documents)), fingerprint, study.note)


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
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Return durations by kind, and the medians of their parts."""
    for texts in questions.values():  # what is read for the first time comes from the disk
        for text in texts[: len(texts) // 4]:
            await retriever.retrieve(parse_query(f"{text} otra"), 5)
    kinds, parts = {}, {}
    for kind, texts in questions.items():
        took: list[float] = []
        found: list[Retrieval] = []
        for text in texts:
            started = time.perf_counter()
            found.append(await retriever.retrieve(parse_query(text), 5))
            took.append(time.perf_counter() - started)
        kinds[kind] = study.spread_ms(took)
        parts[kind] = {
            name: round(percentile([retrieval.timings_ms[name] for retrieval in found], 0.5), 2)
            for name in ("embed_ms", "search_ms")
        }
        parts[kind]["degraded"] = sum(retrieval.fault is not None for retrieval in found)
    return kinds, parts


if __name__ == "__main__":
    sys.exit(main())
