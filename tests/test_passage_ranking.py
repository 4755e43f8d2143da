"""Passages put in order by the LLM service's cross-encoder: both apps as processes, engines without weights."""

from __future__ import annotations

import pytest

from app_process import ALONE, AppProcess, running, start_backend, start_llm
from conftest import wait_until

pytestmark = pytest.mark.e2e
TEXTS = ["Un animal caza de noche.", "Nada despierta al pueblo.", "La lluvia llega tarde."]
RANKS = {"RERANK_MODEL": "someone/reranker", "RERANK_BACKEND": "fake"}


def check_search(backend: AppProcess, llm: AppProcess, status: int) -> None:
    """All passages are found by meaning, and the service has answered the wish to rank them with a status."""
    found = backend.client.get("/api/rag/search", params={"q": "¿Qué captura el zorro?"}).json()["results"]
    assert {hit["content"] for hit in found} == set(TEXTS)
    assert all(hit["matched_on"] == ["vector"] for hit in found)
    wait_until(lambda: f'"route": "/v1/rerank", "status": {status}' in llm.log(), "the service was asked to rank")


def test_passages_found_by_meaning_are_ranked_where_the_service_can() -> None:
    llm = start_llm(None, **RANKS)
    backend = start_backend(llm.url, **ALONE, MENTOR="none", RERANK_MODEL="someone/reranker")
    with running(llm, backend):
        documents = [{"id": str(at), "kind": "text", "content": text} for at, text in enumerate(TEXTS)]
        backend.client.post("/api/rag/documents", json={"documents": documents}).raise_for_status()
        stats = lambda: backend.client.get("/api/rag/stats").json()["pending_embeddings"] == 0  # noqa: E731
        wait_until(stats, "every text has its vector")
        check_search(backend, llm, 200)
        llm.kill()
        without_ranker = start_llm(llm.port)
        with running(without_ranker):
            wait_until(lambda: backend.client.get("/health").json()["status"] == "healthy", "the service is back")
            check_search(backend, without_ranker, 501)
