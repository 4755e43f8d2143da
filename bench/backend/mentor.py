"""Whether the mentor understands plain questions: the share answered with the right words, by kind.

    python dev.py bench mentor [-- --held-out] [--show]

Asks the questions of ``data/mentor_questions.json`` about the sample lexicon, without any model. An answer is right
when it holds every expected text (of a list, one of them), and none that is named as wrong. ``--held-out`` asks the
questions set aside while the rules were written instead of the others.
"""

import argparse
import json
from collections import defaultdict
from typing import Any

from bench.backend.parts import LEXICON, Answered, ask, filled_store
from bench.harness import study
from bench.harness.services import ROOT
from bench.harness.study import Figure, share
from services.library.formats import read_file
from services.mentor.lexicon.folding import normalise
from services.rag_service import RAGService

QUESTIONS = ROOT / "bench" / "data" / "mentor_questions.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--held-out", action="store_true", help="the questions set aside instead of the others")
    parser.add_argument("--show", action="store_true", help="print every question that was not answered right")


async def measure(options: argparse.Namespace) -> study.Report:
    """Ask every question of a mentor with the sample lexicon."""
    kinds: dict[str, list[tuple[bool, Answered]]] = defaultdict(list)
    async with filled_store(read_file(LEXICON).documents) as store:
        mentor = RAGService(store)
        for question in json.loads(QUESTIONS.read_text(encoding="utf-8")):
            if question.get("held_out", False) != options.held_out:
                continue
            given = await ask(mentor, question["question"], question.get("history", ()))
            is_right = _is_right(question, given.answer.answer)
            for kind in (question["kind"], "all"):
                kinds[kind].append((is_right, given))
            if options.show and not is_right:
                print(f"[{question['kind']}] {question['question']!r}\n    {given.answer.answer}")
    rows = {
        kind: {
            "questions": len(asked),
            "right": share([is_right for is_right, _ in asked]),
            "p50_ms": study.spread_ms([given.seconds for _, given in asked])["p50_ms"],
        }
        for kind, asked in kinds.items()
    }
    name = "held-out questions" if options.held_out else "questions"
    study.print_table(name, rows)
    return study.Report([Figure(f"{name} right", rows["all"]["right"], "share", ">=", 0.9)], {name: rows})


def _is_right(question: dict[str, Any], answer: str) -> bool:
    """Whether an answer holds what it must, and nothing that it must not."""
    said = normalise(answer)
    holds = all(normalise(text) in said for text in question["holds"])
    return holds and not any(normalise(text) in said for text in question.get("lacks", ()))
