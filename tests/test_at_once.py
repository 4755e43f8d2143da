"""Answers without a model, and a passage that is worded once for all who ask: both apps as processes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app_process import ALONE, AppProcess, ask, running, start_backend, start_llm
from conftest import wait_until

pytestmark = pytest.mark.e2e
RIVER = {"id": "rio", "kind": "text", "content": "El Ampiyacu es un río de aguas negras del Perú."}


@pytest.fixture(scope="module")
def llm() -> Iterator[AppProcess]:
    process = start_llm()
    with running(process):
        yield process


@pytest.fixture(scope="module")
def backend(llm: AppProcess) -> Iterator[AppProcess]:
    process = start_backend(llm.url, **ALONE, RAG_WORDING="auto")
    with running(process):
        yield process


def generated(llm: AppProcess) -> int:
    return llm.log().count('"route": "/api/llm/generate"')


def test_a_passage_is_worded_once_for_all_who_ask(backend: AppProcess) -> None:
    response = backend.client.post("/api/rag/documents", json={"documents": [RIVER]})
    assert response.status_code == 200
    asked = [backend.client.post("/api/rag/query", json={"query": "¿Dónde está el Ampiyacu?"}) for _ in range(3)]
    answers = [response.json() for response in asked]
    assert {answer["answer"] for answer in answers} == {answers[0]["answer"]}
    assert {(answer["served_by"], answer["degraded"]) for answer in answers} == {("llm_service", False)}

    def caches() -> list[str]:
        records = [json.loads(line) for line in backend.log().split("\n")[:-1]]
        return [record["cache"] for record in records if "cache" in record]

    wait_until(lambda: len(caches()) == len(asked), "every question has its line")
    assert caches() == ["miss", "hit", "hit"]


def test_a_question_for_a_word_generates_nothing_and_needs_no_service(backend: AppProcess, llm: AppProcess) -> None:
    before = generated(llm)
    answer = ask(backend)
    assert (answer["served_by"], answer["degraded"], answer["model"]) == ("dictionary", False, "none")
    assert generated(llm) == before
    llm.kill()
    answer = ask(backend)
    assert (answer["served_by"], answer["degraded"]) == ("dictionary", False)
