"""Vectors over HTTP: every type and encoding, and that nothing but numbers leaves."""

import base64
import re
from typing import Any

import httpx
import numpy as np
import pytest

from engines.errors import GenerationFailed
from routers.wire.embedding import wire_vectors
from schemas.embedding import EmbedResponse, OutputDtype
from tests.api.service_process import APP_DIR, ServiceProcess

PAGE = APP_DIR.parent / "docs" / "embedding-compression.md"
DTYPES = ["float32", "int8", "uint8", "binary"]
TEXTS = ["hola mundo", "buenos días", "el río crece", ""]
NUMPY = {"float32": "<f4", "int8": "i1", "uint8": "u1", "binary": "u1"}


def answer(service: ServiceProcess, texts: list[str], **fields: Any) -> dict[str, Any]:
    response = service.embed(*texts, **fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def refusal(response: httpx.Response) -> str:
    assert response.status_code == 422, response.text
    return str(response.json()["error"]["message"])


def test_vectors_come_in_order_with_what_is_needed_to_compare_them(service: ServiceProcess) -> None:
    texts = ["hola mundo", "buenos días", "hola mundo", ""]
    body = answer(service, texts)
    vectors = np.array(body["embeddings"], dtype=np.float32)
    assert vectors.shape == (4, 384)
    assert (body["dim"], body["count"], body["dtype"]) == (384, 4, "float32")
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])
    assert body["fingerprint"] == service.health()["fingerprint"]
    assert body["truncated"] == [False] * 4
    assert len(body["tokens"]) == 4


def test_a_text_longer_than_the_model_reads_is_flagged(service: ServiceProcess) -> None:
    body = answer(service, ["palabra " * 256, "palabra " * 257, "hola", "palabra " * 5000])
    assert body["truncated"] == [False, True, False, True]
    assert body["tokens"] == [256, 256, 1, 256]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_base64_holds_the_same_numbers_and_both_are_as_the_schema_says(
    service: ServiceProcess, dtype: str, normalize: bool
) -> None:
    plain = answer(service, TEXTS, output_dtype=dtype, normalize=normalize)
    packed = answer(service, TEXTS, output_dtype=dtype, normalize=normalize, encoding_format="base64")
    for body, kind in ((plain, list), (packed, str)):
        EmbedResponse.model_validate(body)
        assert all(isinstance(vector, kind) for vector in body["embeddings"])
    decoded = [np.frombuffer(base64.b64decode(text, validate=True), NUMPY[dtype]) for text in packed["embeddings"]]
    assert np.array_equal(np.stack(decoded), np.array(plain["embeddings"], dtype=NUMPY[dtype]))
    assert {**packed, "embeddings": None} == {**plain, "embeddings": None}
    assert plain["fingerprint"] == service.health()["fingerprint"] + ("" if normalize else "-raw")
    assert (plain["dtype"], plain["dim"], plain["count"]) == (dtype, 384, len(TEXTS))
    assert ("scales" in plain) == (dtype in ("int8", "uint8"))
    if dtype == "float32" and not normalize:
        assert np.linalg.norm(plain["embeddings"][0]) > 1.5


def test_vectors_are_not_shortened(service: ServiceProcess) -> None:
    message = refusal(service.embed("hola", dimensions=128))
    assert message.startswith("dimensions: this model's vectors cannot be shortened")
    assert "is not a Matryoshka model" in message
    assert refusal(service.embed("hola", dimensions=0)).startswith("dimensions")
    assert answer(service, ["hola"], dimensions=384)["dim"] == 384


def test_unknown_fields_are_named_and_null_is_left_out(service: ServiceProcess) -> None:
    response = service.embed("hola", dimension=384, output_dtype=None)
    assert response.status_code == 200
    assert response.headers["X-Ignored-Fields"] == "dimension"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_dtype", "int4"),
        ("output_dtype", "ubinary"),
        ("encoding_format", "hex"),
        ("encoding_format", ["base64"]),
        ("normalize", "perhaps"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(service: ServiceProcess, field: str, value: Any) -> None:
    assert refusal(service.embed("hola", **{field: value})).startswith(field)


def test_the_type_of_a_text_in_a_search_is_told(service: ServiceProcess) -> None:
    query, document = (answer(service, ["hola"], input_type=kind) for kind in ("query", "document"))
    plain = answer(service, ["hola"])
    assert query["fingerprint"] == document["fingerprint"] != plain["fingerprint"]
    assert query["embeddings"] != document["embeddings"] != plain["embeddings"]
    assert refusal(service.embed("hola", input_type="question")).startswith("input_type")
    shared = {"model": "default", "input": "hola", "input_type": "query"}
    assert service.client.post("/v1/embeddings", json=shared).json()["fingerprint"] == query["fingerprint"]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "binary"])
def test_a_number_that_is_none_never_leaves(dtype: OutputDtype, number: float) -> None:
    vectors = np.zeros((3, 384), dtype=np.float32)
    vectors[1, 200] = number
    with pytest.raises(GenerationFailed):
        wire_vectors(vectors, dtype)


def test_float32_is_little_endian_whatever_the_matrix_was() -> None:
    vectors = np.array([[1.5, -2.0]], dtype=">f4")
    assert wire_vectors(vectors, "float32", "base64") == (["AADAPwAAAMA="], None)


def test_the_python_of_the_documentation_reads_real_answers(service: ServiceProcess) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"URL": f"http://127.0.0.1:{service.port}"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert names["packed"].shape == (3, 48)
    assert names["from_int8"].shape == (3, 384)
