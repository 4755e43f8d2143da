"""Passages are worded once for all who ask, and ranked by the service's cross-encoder: both apps, without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app_process import ALONE, AppProcess, running, start_backend, start_llm
from conftest import wait_until

pytestmark = pytest.mark.e2e
TEXTS = ["Un animal caza de noche.", "Nada despierta al pueblo.", "La lluvia llega tarde."]
RANKS = {"RERANK_MODEL": "someone/reranker", "RERANK_BACKEND": "fake"}


@pytest.fixture(scope="module")
def llm() -> Iterator[AppProcess]:
    process = start_llm(None, **RANKS)
    with running(process):
        yield process


@pytest.fixture(scope="module")
def backend(llm: AppProcess) -> Iterator[AppProcess]:
    process = start_backend(llm.url, **ALONE, MENTOR="none", RERANK_MODEL="someone/reranker")
    with running(process):
        documents = [{"id": str(at), "kind": "text", "content": text} for at, text in enumerate(TEXTS)]
        process.client.post("/api/rag/documents", json={"documents": documents}).raise_for_status()
        stats = "/api/rag/stats"
        wait_until(lambda: process.client.get(stats).json()["pending_embeddings"] == 0, "every text has its vector")
        yield process


def test_a_passage_is_worded_once_for_all_who_ask(backend: AppProcess) -> None:
    asked = [backend.client.post("/api/rag/query", json={"query": "¿Quién caza de noche?"}) for _ in range(3)]
    answers = [response.json() for response in asked]
    assert {answer["answer"] for answer in answers} == {answers[0]["answer"]}
    assert {(answer["served_by"], answer["degraded"]) for answer in answers} == {("llm_service", False)}

    def caches() -> list[str]:
        records = [json.loads(line) for line in backend.log().split("\n")[:-1]]
        return [record["cache"] for record in records if "cache" in record]

    wait_until(lambda: len(caches()) == len(asked), "every question has its line")
    assert caches() == ["miss", "hit", "hit"]


def check_search(backend: AppProcess, llm: AppProcess, status: int) -> None:
    """All passages are found by meaning, and the service has answered the wish to rank them with a status."""
    found = backend.client.get("/api/rag/search", params={"q": "¿Qué captura el zorro?"}).json()["results"]
    assert {hit["content"] for hit in found} == set(TEXTS)
    assert all(hit["matched_on"] == ["vector"] for hit in found)
    wait_until(lambda: f'"route": "/v1/rerank", "status": {status}' in llm.log(), "the service was asked to rank")


def test_passages_found_by_meaning_are_ranked_where_the_service_can(backend: AppProcess, llm: AppProcess) -> None:
    check_search(backend, llm, 200)
    llm.kill()
    without_ranker = start_llm(llm.port)
    with running(without_ranker):
        wait_until(lambda: backend.client.get("/health").json()["status"] == "healthy", "the service is back")
        check_search(backend, without_ranker, 501)
