"""How often retrieval finds the right dictionary entry among the first five.

    python bench/retrieval.py FILE [--llm-url http://127.0.0.1:8001] [--questions 300]

Makes its own questions from a dictionary file: several frames, both directions, the bare word,
accents dropped, one typo. Runs on a fresh embedded Postgres in a temporary folder. Without
``--llm-url`` it searches by words only. The last line on standard output is one JSON object.
Run it with the backend's environment.
"""

# environment: backend
# needs: FILE

import argparse
import asyncio
import json
import random
import statistics
import string
import sys
import tempfile
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))

from adapters.base import Document, Embedder, SearchHit
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from lexical.fields import phrase_keys
from services.formats import read_file
from services.ingestion import DocumentIngestor
from services.retrieval import Retriever

TOP = 5
TARGETS = {"es_bora": 0.98, "bora_es": 0.98, "bare": 0.99, "no_accents": 0.98, "typo": 0.90}
TO_BORA = (
    "¿Cómo se dice {} en bora?",
    "Hola, ¿me puedes decir cómo se dice «{}» en bora, por favor?",
    "¿Cuál es la palabra bora para {}?",
    "traduce {} al bora",
    "¿Cómo digo {}?",
)
TO_SPANISH = (
    "¿Qué significa {} en español?",
    "¿Qué quiere decir {}?",
    "dime qué significa la palabra bora {}",
    "traduce {} al castellano",
    "¿Cuál es el significado de {}?",
)


@dataclass(frozen=True)
class Question:
    """A question and the entry that answers it."""

    group: str
    frame: str
    text: str
    entry: Document


def main() -> int:
    """Run the bench; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--llm-url", help="a running LLM service, for real vectors")
    parser.add_argument("--questions", type=int, default=300, help="entries asked for in each group")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show-misses", action="store_true")
    options = parser.parse_args()
    result = asyncio.run(_bench(options))
    print(json.dumps(result, ensure_ascii=False))
    return 0 if all(result["hit_at_5"].get(name, 1.0) >= goal for name, goal in TARGETS.items()) else 1


async def _bench(options: argparse.Namespace) -> dict[str, Any]:
    records = read_file(options.file)
    embedder, close = _embedder(options.llm_url)
    with tempfile.TemporaryDirectory(prefix="bench-retrieval-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        await postgres.start()
        store = SupabaseAdapter(postgres.uri, timeout_s=60.0)
        try:
            started = time.perf_counter()
            report = await DocumentIngestor(store, embedder).ingest(records.documents, embed=embedder is not None)
            ingest_s = time.perf_counter() - started
            questions = _questions(records.documents, options.questions, random.Random(options.seed))
            outcome = await _ask(Retriever(store, embedder, embed_timeout_s=30.0), questions, options.show_misses)
        finally:
            await store.close()
            await postgres.stop()
            await close()
    return {
        "file": options.file.name,
        "documents": len(records.documents),
        "vectors": report.vectors.embedded,
        "ingest_s": round(ingest_s, 2),
        **outcome,
    }


def _embedder(url: str | None) -> tuple[Embedder | None, Callable[[], Awaitable[None]]]:
    async def nothing() -> None:
        return None

    if url is None:
        return None, nothing
    from adapters.llm_service_adapter import LLMServiceAdapter
    from adapters.llm_service_config import ServiceConfig

    adapter = LLMServiceAdapter(ServiceConfig(urls=(url,)))
    return adapter, adapter.close


async def _ask(retriever: Retriever, questions: Sequence[Question], show_misses: bool) -> dict[str, Any]:
    hits: dict[tuple[str, str], list[bool]] = {}
    first: dict[str, list[bool]] = {}
    took: list[float] = []
    for question in questions:
        started = time.perf_counter()
        found = await retriever.search(question.text, TOP)
        took.append((time.perf_counter() - started) * 1_000)
        places = [_is_answer(hit, question.entry) for hit in found]
        hits.setdefault((question.group, question.frame), []).append(any(places))
        first.setdefault(question.group, []).append(bool(places) and places[0])
        if show_misses and not any(places):
            seen = [(hit.metadata.get("lemma"), hit.score, hit.matched_on) for hit in found[:3]]
            print(f"MISS {question.text} -> {question.entry.content} | {seen}")
    print(f"{'group':<12} {'question':<62} {'n':>5} {'hit@5':>7}")
    for (group, frame), results in hits.items():
        print(f"{group:<12} {frame:<62} {len(results):>5} {statistics.fmean(results):>7.3f}")
    groups = {
        group: [value for (name, _), values in hits.items() if name == group for value in values] for group in first
    }
    ordered = sorted(took)
    return {
        "hit_at_5": {group: round(statistics.fmean(values), 4) for group, values in groups.items()},
        "hit_at_1": {group: round(statistics.fmean(values), 4) for group, values in first.items()},
        "questions": len(questions),
        "search_p50_ms": round(statistics.median(ordered), 2),
        "search_p95_ms": round(ordered[int(len(ordered) * 0.95)], 2),
    }


def _questions(documents: Sequence[Document], limit: int, rng: random.Random) -> list[Question]:
    entries = [document for document in documents if document.metadata.get("part") in ("entry", "subentry")]
    chosen = rng.sample(entries, min(limit, len(entries)))
    questions: list[Question] = []
    for entry in chosen:
        spanish, bora = _sides(entry)
        questions += [Question("es_bora", frame, frame.format(spanish), entry) for frame in TO_BORA]
        questions += [Question("bora_es", frame, frame.format(bora), entry) for frame in TO_SPANISH]
        questions.append(Question("bare", "X (español)", spanish, entry))
        questions.append(Question("bare", "Y (bora)", bora, entry))
        questions.append(Question("no_accents", "X", _bare(spanish), entry))
        questions.append(Question("no_accents", TO_SPANISH[0], TO_SPANISH[0].format(_bare(bora)), entry))
        if len(spanish) >= 5:
            questions.append(Question("typo", "X", _typo(spanish, rng), entry))
            questions.append(Question("typo", TO_BORA[0], TO_BORA[0].format(_typo(spanish, rng)), entry))
        if len(bora) >= 5:
            questions.append(Question("typo", TO_SPANISH[0], TO_SPANISH[0].format(_typo(bora, rng)), entry))
    return questions


def _sides(entry: Document) -> tuple[str, str]:
    """Return the Spanish and the Bora word, as a learner would type them: one sense, no parentheses."""
    lemma, gloss = _first(str(entry.metadata["lemma"])), _first(str(entry.metadata["gloss"]))
    return (lemma, gloss) if entry.metadata["direction"] == "es_bora" else (gloss, lemma)


def _first(text: str) -> str:
    bare = text.partition("(")[0].strip() or text
    return bare.replace(";", ",").split(",")[0].strip(" /.") or text


def _is_answer(hit: SearchHit, entry: Document) -> bool:
    """The very entry, or one that says the same: equal in one side's word and the other's whole meaning."""
    if hit.id == entry.id:
        return True
    return all(
        set(phrase_keys([str(hit.metadata.get(side, ""))])) >= set(phrase_keys([str(entry.metadata[side])]))
        for side in ("lemma", "gloss")
    )


def _bare(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _typo(word: str, rng: random.Random) -> str:
    """Return ``word`` with one letter dropped, doubled, swapped with its neighbour or replaced."""
    place = rng.randrange(1, len(word) - 1)
    other = rng.choice([letter for letter in string.ascii_lowercase if letter != word[place]])
    return rng.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
            word[:place] + other + word[place + 1 :],
        )
    )


if __name__ == "__main__":
    sys.exit(main())
