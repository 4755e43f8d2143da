"""Whether the mentor understands plain questions: the share answered with the right words, by kind.

    python dev.py bench mentor [-- --held-out] [--show]

Asks the questions of ``data/mentor_questions.json`` about the sample lexicon, without any model. An answer is right
when it holds every expected text (of a list, one of them), and none that is named as wrong. ``--held-out`` asks the
questions set aside while the rules were written instead of the others.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bench.backend.parts import LEXICON, filled_store
from bench.harness import study
from bench.harness.services import ROOT
from bench.harness.study import Figure
from services.library.formats import read_file
from services.mentor.lexicon.folding import normalise
from services.rag_service import RAGService

QUESTIONS = ROOT / "bench" / "data" / "mentor_questions.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the file with its answer."""

    question: dict[str, Any]
    answer: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the answer holds what it must, and nothing that it must not."""
        said = normalise(self.answer)
        holds = all(normalise(text) in said for text in self.question["holds"])
        return holds and not any(normalise(text) in said for text in self.question.get("lacks", ()))


async def measure(questions: list[dict[str, Any]]) -> list[Asked]:
    """Ask every question of a mentor with the sample lexicon."""
    asked = []
    async with filled_store(read_file(LEXICON).documents) as store:
        mentor = RAGService(store)
        for question in questions:
            started = time.perf_counter()
            answer = await mentor.answer(question["question"], history=question.get("history", ()))
            asked.append(Asked(question, answer.answer, time.perf_counter() - started))
    return asked


def main() -> int:
    """Measure and report; the exit status tells whether the measuring worked."""
    parser = study.parser(__doc__ or "", rounds=1)
    parser.add_argument("--held-out", action="store_true", help="the questions set aside instead of the others")
    parser.add_argument("--show", action="store_true", help="print every question that was not answered right")
    options = parser.parse_args()

    def work() -> study.Report:
        every = json.loads(QUESTIONS.read_text(encoding="utf-8"))
        asked = asyncio.run(measure([each for each in every if each.get("held_out", False) == options.held_out]))
        if options.show:
            for each in asked:
                if not each.is_right:
                    print(f"[{each.question['kind']}] {each.question['question']!r}\n    {each.answer}")
        return _report(asked, held_out=options.held_out)

    return study.main("mentor", options, work)


def _report(asked: list[Asked], *, held_out: bool) -> study.Report:
    kinds: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        kinds[each.question["kind"]].append(each)
    rows = {name: _row(found) for name, found in {**kinds, "all": asked}.items()}
    name = "held-out questions" if held_out else "questions"
    study.print_table(name, rows)
    return study.Report([Figure(f"{name} right", rows["all"]["right"], "share", ">=", 0.9)], {name: rows})


def _row(asked: list[Asked]) -> dict[str, float]:
    right = sum(each.is_right for each in asked)
    spread = study.spread_ms([each.seconds for each in asked])
    return {"questions": len(asked), "right": round(right / len(asked), 3), "p50_ms": spread["p50_ms"]}


if __name__ == "__main__":
    sys.exit(main())
