"""The embedded models behind the whole HTTP path."""

import concurrent.futures
import subprocess
import sys

import numpy as np
import pytest

from tests.api.service_process import APP_DIR, ServiceProcess, eventually, question

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


def test_it_knows_a_capital(real: ServiceProcess) -> None:
    body = real.client.post("/api/llm/generate", json=FRANCE).json()
    assert "Paris" in body["answer"]
    assert body["finish_reason"] == "stop"


def test_greedy_answers_repeat(real: ServiceProcess) -> None:
    computed = {"Cache-Control": "no-store"}
    answers = {real.client.post("/api/llm/generate", json=FRANCE, headers=computed).json()["answer"] for _ in range(3)}
    assert len(answers) == 1


def test_many_at_once_are_answered_and_health_with_them(real: ServiceProcess) -> None:
    def ask(number: int) -> int:
        body = question(f"Tell a story about the number {number}.", temperature=0.7, top_p=0.95, max_new_tokens=12)
        return real.client.post("/api/llm/generate", json=body, timeout=300).status_code

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(ask, number) for number in range(24)]
        health = [real.client.get("/api/llm/health").status_code for _ in range(50)]
        assert {future.result() for future in asked} == {200}
    assert set(health) == {200}


def test_similar_meanings_have_similar_vectors(real: ServiceProcess) -> None:
    texts = ["The dog sleeps in the house", "A puppy is napping at home", "The stock market fell sharply"]
    body = real.client.post("/api/llm/embed", json={"texts": texts}).json()
    vectors = np.array(body["embeddings"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_the_plans_test_command_passes_and_fails(real: ServiceProcess) -> None:
    command = [sys.executable, "test_service.py", "--url", str(real.client.base_url)]
    passed = subprocess.run(command, cwd=APP_DIR, check=False, capture_output=True, text=True, encoding="utf-8")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count("ok ") == 4
    command[-1] = "http://127.0.0.1:9"
    failed = subprocess.run(command, cwd=APP_DIR, check=False, capture_output=True, text=True, encoding="utf-8")
    assert failed.returncode == 1
    assert "is the service running?" in failed.stdout


def test_killing_a_real_engine_under_load_fails_its_requests_and_no_later_one(real: ServiceProcess) -> None:
    def ask(number: int) -> int:
        body = question(f"Tell a long story about the number {number}.", max_new_tokens=400, temperature=0.9)
        return real.client.post("/api/llm/generate", json=body, timeout=300).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, number) for number in range(4)]
        eventually(lambda: real.health()["queue"]["running"] == 4, "all run")
        real.workers()["generator"].kill()
        assert [future.result() for future in asked] == [503] * 4
    assert "Paris" in real.client.post("/api/llm/generate", json=FRANCE).json()["answer"]
