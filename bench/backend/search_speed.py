"""How long a search takes at 10,000 and at 200,000 documents, the embedding call included.

    python dev.py bench search_speed [-- --quick | --documents N …]

Loads made-up dictionaries of that size into a fresh embedded Postgres and asks questions of several kinds, one after
the other, the way the backend does: the real LLM service embeds the question with MiniLM, then one
statement searches by words and by vector. The vectors of the documents are mixtures of real ones with noise.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.ports.documents import Document
from adapters.ports.models import Embedder, Embeddings, InputType
from bench.backend.dictionary_questions import one_typo, sides
from bench.backend.parts import filled_store, service_client
from bench.data.invented_dictionary import FUNCTION_WORDS, InventedDictionary
from bench.harness import study
from bench.harness.services import embedding_service
from bench.harness.study import Figure, percentile
from services.library.formats import read_records
from services.mentor.questions.parser import parse_query
from services.retrieval import Retrieval, Retriever

SAMPLED, BATCH = 2_000, 250
DOCUMENTS_AN_ENTRY = 2.1
TARGETS_MS = {10_000: 15.0, 200_000: 40.0}
NOISE = 0.4
Vectors = npt.NDArray[np.float32]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--documents", type=int, nargs="+", default=None, metavar="N")


async def measure(options: argparse.Namespace) -> study.Report:
    """Search dictionaries of every size."""
    sizes = options.documents or ([2_000, 10_000] if options.quick else [10_000, 200_000])
    count = 25 if options.quick else 100
    figures, details = [], {}
    with embedding_service(options.settings) as service:
        async with service_client(service) as embedder:
            for size in sizes:
                found = await _one_size(size, count, embedder)
                details[str(size)] = found
                target = TARGETS_MS.get(size, 15.0 if size < 10_000 else 40.0)
                for kind, spread in found["kinds"].items():
                    figures.append(Figure(f"{size:,} documents, {kind}, p50", spread["p50_ms"], "ms", "<=", target))
    return study.Report(figures, {"sizes": details})


class Mixtures:
    """Vectors that lie about as real ones do, without the time that real ones take: between two of them, with noise."""

    def __init__(self, base: Vectors, fingerprint: str) -> None:
        self._base, self._fingerprint = base, fingerprint
        self._rng = np.random.default_rng(7)

    async def embed_texts(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",  # noqa: ARG002 - an Embedder's parameter
        request_id: str | None = None,  # noqa: ARG002
    ) -> Embeddings:
        """Return one vector a text, in order."""
        size, base, rng = len(texts), self._base, self._rng
        one, other = base[rng.integers(len(base), size=size)], base[rng.integers(len(base), size=size)]
        mixed = one + rng.random((size, 1)) * other + NOISE * rng.normal(size=one.shape) / one.shape[1] ** 0.5
        unit = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return Embeddings(unit.tolist(), self._fingerprint)


async def _mixtures(documents: Sequence[Document], embedder: Embedder) -> Mixtures:
    sampled = documents[:: max(1, len(documents) // SAMPLED)][:SAMPLED]
    found = [
        await embedder.embed_texts([document.content for document in sampled[at : at + BATCH]])
        for at in range(0, len(sampled), BATCH)
    ]
    base = np.array([vector for part in found for vector in part.vectors], dtype=np.float32)
    return Mixtures(base, found[0].fingerprint)


async def _one_size(size: int, count: int, embedder: Embedder) -> dict[str, Any]:
    study.note(f"{size:,} documents")
    dictionary = InventedDictionary(round(size / DOCUMENTS_AN_ENTRY) + 100)
    documents = read_records(list(dictionary.records())).documents[:size]
    async with filled_store(documents, await _mixtures(documents, embedder)) as store:
        questions = timed_questions(dictionary, documents, count)
        kinds, parts = await _ask(Retriever(store, embedder, embed_timeout_s=30.0), questions)
    study.print_table(f"{size:,} documents: milliseconds of a search, embedding call included", kinds)
    study.print_table("of which", parts)
    return {"documents": len(documents), "kinds": kinds, "parts": parts}


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


def timed_questions(dictionary: InventedDictionary, documents: Sequence[Document], count: int) -> dict[str, list[str]]:
    """Return ``count`` questions of each kind."""
    rng = random.Random(11)
    entries = [document for document in documents if document.metadata.get("part") == "entry"]

    def spanish() -> str:
        return sides(rng.choice(entries))[0]

    def bora() -> str:
        return sides(rng.choice(entries))[1]

    kinds: dict[str, Callable[[], str]] = {
        "bare word": lambda: spanish() if rng.random() < 0.5 else bora(),
        "to Bora": lambda: f"¿Cómo se dice {spanish()} en bora?",
        "to Spanish": lambda: f"¿Qué significa {bora()} en español?",
        "typo": lambda: f"¿Cómo se dice {one_typo(spanish() + 's', rng)} en bora?",
        "common words": lambda: f"¿Cómo se dice {dictionary.common(rng, 3)} en bora?",
        "function words": lambda: " ".join(rng.sample(FUNCTION_WORDS[:12], 4)),
        "sentence": lambda: dictionary.sentence(10),
        "nothing there": lambda: "".join(rng.choice("kwxz") + rng.choice("äëwq") for _ in range(5)),
    }
    return {name: [make() for _ in range(count)] for name, make in kinds.items()}
