"""``/v1/rerank`` and ``/rerank`` with the fake engine: a document's score is its share of the query's words."""

from typing import Any

import pytest

from tests.api.service_process import ServiceProcess

DOCUMENTS = ["el pan", "el río nace lejos", "un río", "nada"]
QUERY = "río lejos"


def rerank(service: ServiceProcess, **fields: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_documents_come_back_best_first(ranking: ServiceProcess) -> None:
    body = rerank(ranking)
    assert [(each["index"], each["relevance_score"]) for each in body["results"]] == [
        (1, 1.0),
        (2, 0.5),
        (0, 0.0),
        (3, 0.0),
    ]
    assert body["model"] == "fake"
    assert body["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert not any("document" in each for each in body["results"])


@pytest.mark.parametrize("model", ["someone/reranker", "fake", "default", None])
def test_documents_may_be_objects_and_come_back_with_the_results(ranking: ServiceProcess, model: str | None) -> None:
    objects = [{"text": text} for text in DOCUMENTS]
    body = rerank(ranking, model=model, documents=objects, top_n=2, return_documents=True)
    assert [each["document"]["text"] for each in body["results"]] == [DOCUMENTS[1], DOCUMENTS[2]]


def test_the_shape_of_text_embeddings_inference(ranking: ServiceProcess) -> None:
    asked = {"query": QUERY, "texts": DOCUMENTS[1:3], "raw_scores": True, "return_text": True}
    assert ranking.client.post("/rerank", json=asked).json() == [
        {"index": 0, "score": 1.0, "text": DOCUMENTS[1]},
        {"index": 1, "score": 0.5, "text": DOCUMENTS[2]},
    ]
    long = {"query": QUERY, "texts": ["nada", "río " * 300], "truncate": False}
    answer = ranking.client.post("/rerank", json=long)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("texts.1: ")
    assert ranking.client.post("/rerank", json={**long, "truncate": True}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": [""], "query": ""}, "query"),
        ({"documents": [5]}, "documents[0]"),
        ({"documents": ["x"] * 3000}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"max_tokens_per_doc": 5}, "max_tokens_per_doc"),
    ],
)
def test_a_bad_field_is_named(ranking: ServiceProcess, fields: dict[str, Any], param: str) -> None:
    answer = ranking.client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS, **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_the_model_is_listed_and_its_worker_counted(ranking: ServiceProcess) -> None:
    health = ranking.health()
    assert health["workers"] == {"generator": "ready", "embedder": "ready", "reranker": "ready"}
    assert health["rerank_model"] == "fake"
    assert set(ranking.workers()) == {"generator", "embedder", "reranker"}
    rerank(ranking)
    counts = ranking.client.get("/metrics").text
    assert 'llm_worker_ready{worker="reranker"} 1.0' in counts
    assert "llm_ranked_documents_total 0.0" not in counts


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_without_a_model_the_setting_is_named(service: ServiceProcess, path: str) -> None:
    field = "texts" if path == "/rerank" else "documents"
    answer = service.client.post(path, json={"query": QUERY, field: DOCUMENTS})
    assert answer.status_code == 501
    error = answer.json()["error"]
    assert "set RERANK_MODEL" in error["message"]
    assert error.get("code", error["type"]) == "not_configured"
    health = service.health()
    assert (health["workers"]["reranker"], health["rerank_model"]) == (None, None)
    assert set(service.workers()) == {"generator", "embedder"}
