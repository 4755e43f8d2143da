"""Answers on a real model to questions about words: right words, and how the answers come about.

    python dev.py bench answers [-- --quick --model NAME] [FILE]

Asks a fixed set of questions, made of the sample lexicon or of a dictionary FILE; a model words every answer. ``bare``
is how often the model's own words hold the dictionary's, accents and all; ``final`` what the learner reads, counted
where retrieval found the word.
"""

import argparse
import itertools
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.ports.documents import Document
from adapters.ports.models import ChatMessage
from bench.backend.dictionary_questions import TO_BORA, TO_SPANISH, sides
from bench.backend.parts import GREEDY, LEXICON, Answered, RecordedModel, ask, filled_store, service_client
from bench.harness import study
from bench.harness.services import llm_service
from bench.harness.study import Figure, share
from services.library.formats import read_file
from services.mentor.entries import senses
from services.mentor.lexicon.folding import normalise
from services.rag_service import RAGService

EACH, EACH_QUICK = 12, 4
UNKNOWN = (
    "¿Cuál es la capital de Francia?",
    "¿Cómo se dice computadora en bora?",
    "¿Cómo se dice xilófono en bora?",
    "¿Qué significa tsuhpátyuuve en español?",
    "¿Quién ganó el mundial de fútbol de 1986?",
    "¿Cuánto es 17 por 23?",
    "traduce inteligencia artificial al bora",
    "Escríbeme un poema sobre el otoño en París",
    "¿Cómo se dice refrigeradora en bora?",
    "¿Qué hora es?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the words of which its answer must hold one (none: no dictionary knows it), and the turns before."""

    text: str
    words: tuple[str, ...] = ()
    history: tuple[ChatMessage, ...] = ()

    def is_right(self, answer: str) -> bool:
        """Whether an answer holds the dictionary's word, letter by letter."""
        said = normalise(answer)
        return any(normalise(word) in said for word in self.words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("file", type=Path, nargs="?", default=LEXICON, help="default: the sample lexicon")
    parser.add_argument("--model", default="embedded", help="LLM_MODEL of the service that is started")
    parser.add_argument("--show", action="store_true", help="print every answer")


def questions(documents: Sequence[Document], each: int) -> list[Question]:
    """Return ``each`` questions a direction, half as many follow-ups, and all unanswerable ones."""
    entries = [document for document in documents if document.metadata.get("part") == "entry"]
    chosen = random.Random(11).sample(entries, min(len(entries), 2 * each + 2))
    asked = [
        Question(TO_BORA[at % 4].format(sides(entry)[0]), _senses(entry)[1]) for at, entry in enumerate(chosen[:each])
    ]
    asked += [
        Question(TO_SPANISH[at % 4].format(sides(entry)[1]), _senses(entry)[0])
        for at, entry in enumerate(chosen[each : 2 * each])
    ]
    pairs = list(itertools.pairwise(chosen))[: max(4, each // 2)]
    asked += [_follow_up(at, one, other) for at, (one, other) in enumerate(pairs)]
    return [*asked, *map(Question, UNKNOWN)]


def _follow_up(at: int, one: Document, other: Document) -> Question:
    (spanish, bora), (other_spanish, other_bora) = sides(one), sides(other)
    before: tuple[ChatMessage, ...] = (
        {"role": "user", "content": TO_BORA[0].format(spanish)},
        {"role": "assistant", "content": f'En bora, "{spanish}" se dice "{bora}".'},
    )
    kinds = (
        (f"¿y {other_spanish}?", _senses(other)[1]),
        ("¿y en español?", _senses(one)[0]),
        ("¿qué significa?", _senses(one)[0]),
        (f"¿y «{other_bora}»?", _senses(other)[0]),
    )
    return Question(*kinds[at % len(kinds)], before)


def _senses(entry: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every Spanish and every Bora word of an entry."""
    lemma, gloss = (tuple(senses(str(entry.metadata[side]))) for side in ("lemma", "gloss"))
    return (lemma, gloss) if entry.metadata["direction"] == "es_bora" else (gloss, lemma)


async def measure(options: argparse.Namespace) -> study.Report:
    """Fill a database, ask everything."""
    documents = read_file(options.file).documents
    asked = questions(documents, EACH_QUICK if options.quick else EACH)
    with llm_service({"LLM_MODEL": options.model, **options.settings}) as service:
        async with service_client(service) as client, filled_store(documents) as store:
            model = RecordedModel(client)
            rag = RAGService(store, language_model=model, sampling=GREEDY, wording="always")
            await ask(rag, asked[0].text)  # Not counted: the first answer warms the model up.
            answers = [(one, await ask(rag, one.text, one.history, model)) for one in asked]
    row = _row(answers)
    study.print_table("answers", {"prompt in use": row})
    if options.show:
        for question, given in answers:
            print(f"{question.text}\n    {given.said and given.said.answer!r}\n    {given.answer.answer!r}")
    figures = [
        Figure("right when found", float(str(row["final"])), "share", ">=", 1.0),
        Figure("unknown is said so", float(str(row["unknown"])), "share", ">=", 1.0),
    ]
    return study.Report(figures, {"file": options.file.name, "model": options.model, "answers": row})


def _row(answers: Sequence[tuple[Question, Answered]]) -> dict[str, object]:
    known = [(question, given) for question, given in answers if question.words]
    unknown = [given for question, given in answers if not question.words]
    found = [pair for pair in known if pair[0].is_right(" ".join(hit.content for hit in pair[1].answer.sources))]
    said = [(question, given.said) for question, given in known if given.said is not None]
    modes = Counter(given.answer.answer_mode for _, given in known)
    return {
        "questions": len(answers),
        "found": round(len(found) / len(known), 3),
        "bare": share([question.is_right(words.answer) for question, words in said]),
        "final": share([question.is_right(given.answer.answer) for question, given in found]),
        **{mode: round(modes[mode] / len(known), 3) for mode in ("generated", "completed", "extractive")},
        "unknown": share([given.answer.answer.startswith("No lo sé") and given.said is None for given in unknown]),
        "tokens_out": round(statistics.mean(words.tokens_generated for _, words in said)),
        "p50_s": round(statistics.median(given.seconds for _, given in known), 2),
    }
