"""The embedded models behind the whole HTTP path."""

import base64
import concurrent.futures
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from tests.api.openai.openai_clients import MODEL, sync_client, user
from tests.api.openai.raw_text import check_raw_text
from tests.api.service_process import APP_DIR, ServiceProcess, question

pytestmark = pytest.mark.model

FRANCE = question("What is the capital of France? Answer in one short sentence.", temperature=0, max_new_tokens=24)


def test_the_stand_in_says_that_it_is_one(real: ServiceProcess) -> None:
    health = real.health()
    assert health["status"] == "degraded"
    assert health["degraded"] is True
    assert health["requested_model"] == "Qwen/Qwen3-1.7B"
    assert health["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert health["backend"] == "openvino"
    assert health["artifact"] == "openvino"
    assert "the embedded model answers instead" in real.log()


def test_it_knows_a_capital_and_says_so_again(real: ServiceProcess) -> None:
    computed = {"Cache-Control": "no-store"}
    first, second = (real.client.post("/api/llm/generate", json=FRANCE, headers=computed).json() for _ in range(2))
    assert "Paris" in first["answer"]
    assert first["finish_reason"] == "stop"
    assert first["answer"] == second["answer"]


def test_many_at_once_are_answered_and_health_with_them(real: ServiceProcess) -> None:
    def ask(number: int) -> int:
        body = question(f"Tell a story about the number {number}.", temperature=0.7, top_p=0.95, max_new_tokens=6)
        return real.client.post("/api/llm/generate", json=body, timeout=300).status_code

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(ask, number) for number in range(24)]
        health = [real.client.get("/api/llm/health").status_code for _ in range(50)]
        assert {future.result() for future in asked} == {200}
    assert set(health) == {200}


def test_the_plans_test_command_passes_and_fails(real: ServiceProcess) -> None:
    command = [sys.executable, "test_service.py", "--url", str(real.client.base_url)]
    passed = subprocess.run(command, cwd=APP_DIR, check=False, capture_output=True, text=True, encoding="utf-8")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count("ok ") == 4
    command[-1] = "http://127.0.0.1:9"
    failed = subprocess.run(command, cwd=APP_DIR, check=False, capture_output=True, text=True, encoding="utf-8")
    assert failed.returncode == 1
    assert "is the service running?" in failed.stdout


# --- OpenAI's client ----------------------------------------------------------------------------

DOG = "Describe a dog: its name, how many legs it has and its kind."


class Animal(BaseModel):
    name: str = Field(max_length=40)
    legs: int
    kind: Literal["mammal", "bird", "fish"]


@pytest.fixture(scope="module")
def client(real: ServiceProcess) -> Iterator[OpenAI]:
    with sync_client(real) as one:
        yield one


def test_both_models_are_listed_by_their_own_names(client: OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed == {
        "HuggingFaceTB/SmolLM2-135M-Instruct": "HuggingFaceTB",
        "sentence-transformers/all-MiniLM-L6-v2": "sentence-transformers",
    }
    assert all(client.models.retrieve(name).id == name for name in listed)


def test_texts_without_a_template(real: ServiceProcess) -> None:
    check_raw_text(real)


def test_an_answer_follows_a_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=user(DOG), response_format=Animal, temperature=1, seed=3, max_tokens=200
    )
    animal = answer.choices[0].message.parsed
    assert animal is not None
    assert animal.name
    assert answer.system_fingerprint


def test_a_streamed_answer_follows_a_schema(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=user(DOG), response_format=Animal, temperature=0, max_tokens=200
    ) as stream:
        animal = stream.get_final_completion().choices[0].message.parsed
    assert isinstance(animal, Animal)


# --- vectors -------------------------------------------------------------------------------------

LIMIT = 256
SPECIAL_TOKENS = 2
WORD = "water"
"""One token of this model."""


def embed(service: ServiceProcess, texts: list[str], **fields: Any) -> dict[str, Any]:
    response = service.embed(*texts, **fields)
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
    assert exact[0] @ exact[1] > exact[0] @ exact[2] + 0.2
    codes = np.array(embed(real, texts, output_dtype="int8")["embeddings"], dtype=np.float64)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - exact @ exact.T).max() < 0.01
    packed = embed(real, texts, output_dtype="binary", encoding_format="base64")["embeddings"]
    dog, puppy, engine = (np.frombuffer(base64.b64decode(bits), np.uint8) for bits in packed)
    assert np.bitwise_count(dog ^ puppy).sum() + 20 < np.bitwise_count(dog ^ engine).sum()


def test_the_fingerprint_names_the_embedded_models_vectors(real: ServiceProcess) -> None:
    assert embed(real, ["x"])["fingerprint"] == "23202422d3773d12"
    assert embed(real, ["x"], normalize=False)["fingerprint"] == "23202422d3773d12-raw"
