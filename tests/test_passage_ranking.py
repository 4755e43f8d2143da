"""Passages put in order by the LLM service's cross-encoder: both apps as processes, engines without weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from app_process import ALONE, running, start_backend, start_llm
from conftest import wait_until

pytestmark = pytest.mark.e2e
TEXTS = ["Un animal caza de noche.", "Nada despierta al pueblo.", "La lluvia llega tarde."]


@pytest.mark.parametrize(("backend_name", "status"), [("fake", 200), ("", 501)])
def test_passages_found_by_meaning_are_ranked_where_the_service_can(
    folder: Path, backend_name: str, status: int
) -> None:
    ranks = {"RERANK_MODEL": "someone/reranker", "RERANK_BACKEND": backend_name} if backend_name else {}
    llm = start_llm(None, **ranks)
    backend = start_backend(llm.url, folder, **ALONE, MENTOR="none", RERANK_MODEL="someone/reranker")
    with running(llm, backend):
        documents = [{"id": str(at), "kind": "text", "content": text} for at, text in enumerate(TEXTS)]
        backend.client.post("/api/rag/documents", json={"documents": documents}).raise_for_status()
        stats = lambda: backend.client.get("/api/rag/stats").json()["pending_embeddings"] == 0  # noqa: E731
        wait_until(stats, "every text has its vector")
        found = backend.client.get("/api/rag/search", params={"q": "¿Qué captura el zorro?"}).json()["results"]
        assert {hit["content"] for hit in found} == set(TEXTS)
        assert all(hit["matched_on"] == ["vector"] for hit in found)
        wait_until(lambda: f'"route": "/v1/rerank", "status": {status}' in llm.log(), "the service was asked to rank")
