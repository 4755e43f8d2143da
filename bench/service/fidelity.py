"""Whether the service's answers are the model's: greedy answers and next tokens against transformers in fp32.

    python dev.py bench fidelity [-- --quick]
    python dev.py bench fidelity -- --model FILE.gguf [--side "q8 LLM_KV_PRECISION=q8_0"]
    python dev.py bench fidelity -- --model FOLDER --reference FOLDER_WITH_SAFETENSORS

The service is asked over HTTP, one question at a time, greedily, at most 40 tokens. ``begin`` is the share of answers
whose first 24 characters are the reference's; ``end`` the share with the reference's finish reason that, when they
stop, are not longer or shorter by more than half or 24 characters; ``same`` the share that are the same to the letter.
``top1`` and ``mean_kl`` are of the next token along the reference's own text (next_token.py). Each ``--side`` is
a name and settings of the service; without one the service as it comes.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.harness import study
from bench.harness.http import GENERATE, NO_STORE, Call, ask
from bench.harness.services import embedded_gguf, llm_service
from bench.harness.study import Figure, Report
from bench.service.embedded import embedded_openvino
from bench.service.next_token import agreement, next_token
from bench.service.reference import MAX_NEW_TOKENS, Reference, ReferenceAnswer, answers_of

BEGINNING = 24
BEGIN_TARGET, END_TARGET, TOP1_TARGET = 0.8, 0.9, 0.97
QUICK_EVERY = 4


class Said(NamedTuple):
    """One answer of the service."""

    text: str
    finish_reason: str


def begins_alike(said: Said, expected: ReferenceAnswer) -> bool:
    """Whether the first 24 characters are the same."""
    return said.text.strip()[:BEGINNING] == expected.text[:BEGINNING]


def ends_alike(said: Said, expected: ReferenceAnswer) -> bool:
    """Whether an answer ends for the same reason and, when it stops by itself, at about the same length."""
    if said.finish_reason != expected.finish_reason:
        return False
    slack = max(BEGINNING, len(expected.text) // 2)
    return said.finish_reason == "length" or abs(len(said.text.strip()) - len(expected.text)) <= slack


def ask_service(settings: Mapping[str, str], questions: Sequence[str]) -> list[Said]:
    """The service's greedy answers, one at a time."""
    found = []
    with llm_service({"EMBEDDING_BACKEND": "fake", **settings}) as service:
        for question in questions:
            messages = [{"role": "user", "content": question}]
            body = {"messages": messages, "max_new_tokens": MAX_NEW_TOKENS, "temperature": 0}
            answer = ask(service.port, Call(GENERATE, body, NO_STORE)).json()
            found.append(Said(answer["answer"], answer["finish_reason"]))
    return found


def measure(options: argparse.Namespace) -> Report:
    """Hold each side against the reference."""
    path = embedded_gguf() if options.model == "embedded" else Path(options.model).resolve()
    reference = Reference(Path(options.reference).resolve() if options.reference else path)
    answers = answers_of(reference)[:: QUICK_EVERY if options.quick else 1]
    sides = [side.split() for side in options.side] or [["service"]]
    figures: list[Figure] = []
    rows: dict[str, dict[str, object]] = {}
    for name, *settings in sides:
        given = {"LLM_MODEL": str(options.model), **options.settings}
        given |= dict(setting.split("=", 1) for setting in settings)
        said = ask_service(given, [answer.question for answer in answers])
        row = _shares(said, answers)
        rows[name] = dict(row)
        figures.append(Figure(f"{name}: begin alike", row["begin"], "", ">=", BEGIN_TARGET))
        figures.append(Figure(f"{name}: end alike", row["end"], "", ">=", END_TARGET))
        if options.show:
            _show(name, said, answers)
    if not options.answers_only:
        served = embedded_openvino() if options.model == "embedded" else path
        with next_token(served, options.dtype) as (name, engine):
            row = agreement(reference, engine, answers)
        rows[f"next token, {name}"] = dict(row)
        figures.append(Figure(f"next token, {name}: top-1", row["top1"], "", ">=", TOP1_TARGET))
    study.print_table(f"{path.name}, {len(answers)} questions", rows)
    return Report(figures, {"model": path.name, "questions": len(answers), "sides": rows})


def _shares(said: Sequence[Said], answers: Sequence[ReferenceAnswer]) -> dict[str, float]:
    pairs = list(zip(said, answers, strict=True))
    return {
        "begin": round(sum(begins_alike(*pair) for pair in pairs) / len(pairs), 3),
        "end": round(sum(ends_alike(*pair) for pair in pairs) / len(pairs), 3),
        "same_reason": round(sum(one.finish_reason == other.finish_reason for one, other in pairs) / len(pairs), 3),
        "same": round(sum(one.text.strip() == other.text for one, other in pairs) / len(pairs), 3),
    }


def _show(name: str, said: Sequence[Said], answers: Sequence[ReferenceAnswer]) -> None:
    for one, other in zip(said, answers, strict=True):
        marks = f"{'b' if begins_alike(one, other) else '-'}{'e' if ends_alike(one, other) else '-'}"
        print(f"[{name} {marks}] {other.question}\n    {one.text!r} ({one.finish_reason})")
        print(f"    {other.text!r} ({other.finish_reason})")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the program's own options."""
    parser.add_argument("--model", default="embedded", help="a GGUF file or a model folder (default: embedded)")
    parser.add_argument("--reference", help="the same weights as safetensors, for an OpenVINO folder")
    parser.add_argument("--side", action="append", default=[], metavar='"NAME SETTING=VALUE …"', help="see above")
    parser.add_argument("--dtype", default="bfloat16", help="of the transformers engine's next tokens")
    parser.add_argument("--answers-only", action="store_true", help="no next tokens")
    parser.add_argument("--show", action="store_true", help="print the answers side by side")
