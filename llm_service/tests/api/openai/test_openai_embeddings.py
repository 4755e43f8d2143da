"""Vectors from /v1/embeddings, as OpenAI's client sees them and on the wire."""

import base64
from typing import Any

import numpy as np
import pytest
from openai import BadRequestError, OpenAI

from tests.api.openai.openai_clients import MODEL
from tests.api.service_process import ServiceProcess


def own_vectors(service: ServiceProcess, *texts: str) -> Any:
    return np.array(service.embed(*texts).json()["embeddings"], dtype=np.float32)


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}])
def test_vectors_are_the_services_own_in_order(service: ServiceProcess, client: OpenAI, encoding: Any) -> None:
    """Without a wish the client asks for base64, and decodes it."""
    answer = client.embeddings.create(model=MODEL, input=["hola mundo", "buenos días"], **encoding)
    vectors = np.array([item.embedding for item in answer.data], dtype=np.float32)
    assert np.array_equal(vectors, own_vectors(service, "hola mundo", "buenos días"))
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.model == "fake"
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)


def test_a_text_may_stand_alone(client: OpenAI) -> None:
    alone = client.embeddings.create(model=MODEL, input="hola")
    listed = client.embeddings.create(model=MODEL, input=["hola"])
    assert [item.embedding for item in alone.data] == [item.embedding for item in listed.data]


def test_the_answer_says_what_was_cut_and_what_can_be_compared(service: ServiceProcess) -> None:
    body = service.client.post("/v1/embeddings", json={"model": MODEL, "input": ["hola", "palabra " * 1000]}).json()
    assert [item["truncated"] for item in body["data"]] == [False, True]
    assert body["fingerprint"] == service.health()["fingerprint"]


def test_small_types_come_with_what_scales_them_back(service: ServiceProcess) -> None:
    body = {"model": MODEL, "input": ["hola mundo", "buenos días"], "output_dtype": "int8"}
    exact = own_vectors(service, *body["input"])
    for encoding in ("float", "base64"):
        data = service.client.post("/v1/embeddings", json=body | {"encoding_format": encoding}).json()["data"]
        for item, vector in zip(data, exact, strict=True):
            packed = item["embedding"]
            codes = np.frombuffer(base64.b64decode(packed), np.int8) if encoding == "base64" else np.array(packed)
            assert np.allclose(codes * item["scale"], vector, atol=item["scale"])


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": "a\x00b"}, "input"),
        ({"input": "a", "dimensions": 128}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "output_dtype": "int4"}, "output_dtype"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(
    service: ServiceProcess, change: dict[str, Any], param: str
) -> None:
    response = service.client.post("/v1/embeddings", json={"model": MODEL, **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_refused_with_advice(client: OpenAI, tokens: Any) -> None:
    with pytest.raises(BadRequestError, match="check_embedding_ctx_length=False") as caught:
        client.embeddings.create(model=MODEL, input=tokens)
    assert caught.value.param == "input"
