"""How often retrieval finds the right dictionary entry among the first five.

    python dev.py bench retrieval [-- FILE] [-- --quick | --vectors]

Makes its own questions from a dictionary file: several frames, some of which the parser was not written
for, both directions, the bare word, accents dropped, one typo, other letters for Bora's, plurals and verb
forms. Without FILE the dictionary is made up: 4,600 entries in each direction, with homographs and shared
glosses. Runs on a fresh embedded Postgres; by words only without ``--vectors``.
"""

import argparse
import contextlib
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.ports.documents import Document, SearchHit
from bench.backend.dictionary_questions import TO_BORA, Question, questions
from bench.backend.parts import filled_store, service_client
from bench.data.invented_dictionary import InventedDictionary
from bench.harness import study
from bench.harness.services import embedding_service
from bench.harness.study import Figure, Report
from services.library.formats import read_file, read_records
from services.mentor.lexicon.fields import phrase_keys
from services.mentor.questions.parser import parse_query
from services.retrieval import Retriever

TOP = 5
TARGETS = {
    "es_bora": 0.98, "bora_es": 0.98, "unseen_es_bora": 0.98, "unseen_bora_es": 0.98, "bare": 0.99, "no_accents": 0.98,
    "typo": 0.90, "letters": 0.98, "several_words": 0.98, "subentry": 0.98, "inflected": 0.90, "frame_words": 1.0,
}  # fmt: skip
INVENTED, QUICK_INVENTED = 4_600, 600
FRAME_WORDS = ("decir", "palabra", "hola", "gracias", "lengua", "significar", "traducir", "como", "en", "buenas noches")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--vectors", action="store_true", help="start the LLM service, for real vectors")
    parser.add_argument("--show", action="store_true", help="print every question whose entry was not found")


async def measure(options: argparse.Namespace) -> Report:
    """Fill a database, ask everything."""
    documents = _dictionary(options)
    asked = questions(documents, 40 if options.quick else 300, random.Random(7)) + _frame_words(documents)
    async with contextlib.AsyncExitStack() as stack:
        embedder = None
        if options.vectors:
            service = stack.enter_context(embedding_service(options.settings))
            embedder = await stack.enter_async_context(service_client(service))
        store = await stack.enter_async_context(filled_store(documents, embedder))
        return await _ask(Retriever(store, embedder, embed_timeout_s=30.0), asked, show=options.show)


def _dictionary(options: argparse.Namespace) -> list[Document]:
    if options.file is not None:
        return read_file(options.file).documents
    entries = QUICK_INVENTED if options.quick else INVENTED
    spanish, bora = (InventedDictionary(entries, bora_first=first) for first in (False, True))
    frame_words = [{"lemma": word, "pos": "", "gloss_bora": f"ñé{n}wa"} for n, word in enumerate(FRAME_WORDS)]
    return read_records([*spanish.records(), *bora.records(), *frame_words]).documents


def _frame_words(documents: Sequence[Document]) -> list[Question]:
    """Ask for the words of the frame themselves, where the dictionary has them."""
    entries = {
        document.metadata["lemma"]: document for document in documents if document.metadata.get("part") == "entry"
    }
    found = [entries[word] for word in FRAME_WORDS if word in entries]
    return [
        Question("frame_words", frame, frame.format(entry.metadata["lemma"]), entry)
        for entry in found
        for frame in TO_BORA
    ]


async def _ask(retriever: Retriever, asked: Sequence[Question], *, show: bool) -> Report:
    groups: dict[str, list[bool]] = {}
    frames: dict[tuple[str, str], list[bool]] = {}
    took: list[float] = []
    for question in asked:
        started = time.perf_counter()
        found = (await retriever.retrieve(parse_query(question.text), TOP)).hits
        took.append(time.perf_counter() - started)
        is_there = any(_is_answer(hit, question.entry) for hit in found)
        groups.setdefault(question.group, []).append(is_there)
        frames.setdefault((question.group, question.frame), []).append(is_there)
        if show and not is_there:
            seen = [(hit.metadata.get("lemma"), hit.score, hit.matched_on) for hit in found[:3]]
            print(f"MISS {question.text} -> {question.entry.content} | {seen}")
    print(f"{'group':<14} {'question':<84} {'n':>5} {'hit@5':>7}")
    for (group, frame), results in frames.items():
        print(f"{group:<14} {frame:<84} {len(results):>5} {statistics.fmean(results):>7.3f}")
    figures = [
        Figure(f"{group}: right entry among {TOP}", statistics.fmean(results), "share", ">=", TARGETS[group])
        for group, results in groups.items()
    ]
    return Report(figures, {"questions": len(asked), "search": study.spread_ms(took)})


def _is_answer(hit: SearchHit, entry: Document) -> bool:
    """The very entry, or one that says the same: equal in one side's word and the other's whole meaning."""
    if hit.id == entry.id:
        return True
    return all(
        set(phrase_keys([str(hit.metadata.get(side, ""))])) >= set(phrase_keys([str(entry.metadata[side])]))
        for side in ("lemma", "gloss")
    )
