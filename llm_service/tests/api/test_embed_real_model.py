"""Types of vectors and the token limit, with the embedded model behind HTTP."""

import base64
from typing import Any

import numpy as np
import pytest

from tests.api.service_process import ServiceProcess

pytestmark = pytest.mark.model

LIMIT = 256
SPECIAL_TOKENS = 2
WORD = "water"
"""One token of this model."""


def embed(service: ServiceProcess, texts: list[str], **fields: Any) -> dict[str, Any]:
    response = service.client.post("/api/llm/embed", json={"texts": texts, **fields})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_the_border_of_the_token_limit_is_exact(real: ServiceProcess) -> None:
    fits = LIMIT - SPECIAL_TOKENS
    texts = [" ".join([WORD] * words) for words in (fits - 1, fits, fits + 1, 4 * LIMIT)]
    body = embed(real, [*texts, ""])
    assert body["tokens"] == [LIMIT - 1, LIMIT, LIMIT, LIMIT, SPECIAL_TOKENS]
    assert body["truncated"] == [False, False, True, True, False]
    just_fits, one_over, far_over = np.array(body["embeddings"])[1:4]
    assert just_fits @ one_over > 0.9999
    assert just_fits @ far_over > 0.9999


def test_meaning_survives_every_type(real: ServiceProcess) -> None:
    texts = ["a dog runs", "a puppy is running", "the engine needs oil"]
    exact = np.array(embed(real, texts)["embeddings"])
    codes = np.array(embed(real, texts, output_dtype="int8")["embeddings"], dtype=np.float64)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - exact @ exact.T).max() < 0.01
    packed = embed(real, texts, output_dtype="binary", encoding_format="base64")["embeddings"]
    dog, puppy, engine = (np.frombuffer(base64.b64decode(bits), np.uint8) for bits in packed)
    assert np.bitwise_count(dog ^ puppy).sum() + 20 < np.bitwise_count(dog ^ engine).sum()


def test_the_fingerprint_names_the_embedded_models_vectors(real: ServiceProcess) -> None:
    assert embed(real, ["x"])["fingerprint"] == "23202422d3773d12"
    assert embed(real, ["x"], normalize=False)["fingerprint"] == "23202422d3773d12-raw"
