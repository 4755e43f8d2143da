import dataclasses
import hashlib
import tracemalloc
from typing import Any

import pytest

from engines.base import EngineInfo
from engines.requests import ChatMessage, GenerationRequest, OutputFormat, SamplingParams, Tool, Tools
from schemas.generation import Timings
from services.answering.response_cache import ResponseCache, response_key, size_of
from services.results import GenerationResult

GENERATOR = EngineInfo("fake", "fake", "fake", "none", "cpu", 2048, fingerprint="f1")
SAMPLING = SamplingParams(max_new_tokens=16, temperature=0.0, top_p=0.9)
REQUEST = GenerationRequest("id", (ChatMessage("user", "hola"),), SAMPLING)

OTHER_SAMPLING: dict[str, list[Any]] = {
    "max_new_tokens": [17],
    "temperature": [0.5],
    "top_p": [0.8],
    "stop": [("a",), ("b",), ("a", "b"), ("ab",), ("a,b",), ("a', 'b",)],
    "seed": [0, 1],
    "top_k": [0, 1],
    "min_p": [0.1],
    "presence_penalty": [0.5],
    "frequency_penalty": [0.5],
    "repetition_penalty": [1.0, 1.1],
    "logprobs": [0, 2],
}
OTHER_REQUEST: dict[str, list[Any]] = {
    "messages": [
        (ChatMessage("user", "hola "),),
        (ChatMessage("system", "hola"),),
        (ChatMessage("user", "ho"), ChatMessage("user", "la")),
        (ChatMessage("user", "ho"), ChatMessage("assistant", "la")),
        (ChatMessage("user", "hola'), ChatMessage(role='user', content='"),),
        (ChatMessage("user", "ñandú \\xf1 \\ud800"),),
        (ChatMessage("user", "\xf1and\xfa \xf1 \ud800"),),
    ],
    "raw": [True],
    "enable_thinking": [True],
    "thinking_budget": [5],
    "reasoning_effort": ["low"],
    "tools": [Tools((Tool("a", None, "{}"),)), Tools((Tool("a", None, "{}"),), "none"), Tools((Tool("a", "x", "{}"),))],
    "output": [OutputFormat("json", "{}"), OutputFormat("regex", "{}"), OutputFormat("json", "None")],
    "grammar": ["root ::= [a]", "None"],
}
OTHER_GENERATOR: dict[str, list[Any]] = {
    "backend": ["openvino"],
    "model": ["other"],
    "requested_model": ["other"],
    "artifact": ["gguf"],
    "device": ["cuda:0"],
    "context_length": [4096],
    "degraded": [True],
    "fingerprint": ["f2", None],
    "dimension": [384],
    "search_fingerprint": ["s2"],
}
NOT_ASKED = {"id", "stream", "sampling", "trace_headers"}


def answer(text: str = "hola", **changes: Any) -> GenerationResult:
    plain = GenerationResult(text, "fake", "cpu", "stop", 1, 1, Timings(0.0, 1.0, 2.0, 3.0))
    return dataclasses.replace(plain, **changes)


def names(of: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(of)}


def test_every_field_has_a_variation_here() -> None:
    assert names(SamplingParams) == set(OTHER_SAMPLING)
    assert names(GenerationRequest) == set(OTHER_REQUEST) | NOT_ASKED
    assert names(EngineInfo) == set(OTHER_GENERATOR)


def test_whatever_changes_the_answer_changes_the_key() -> None:
    keys = [response_key(REQUEST, GENERATOR)]
    for name, values in OTHER_SAMPLING.items():
        for value in values:
            sampling = dataclasses.replace(SAMPLING, **{name: value})
            keys.append(response_key(dataclasses.replace(REQUEST, sampling=sampling), GENERATOR))
    for name, values in OTHER_REQUEST.items():
        keys.extend(response_key(dataclasses.replace(REQUEST, **{name: value}), GENERATOR) for value in values)
    for name, values in OTHER_GENERATOR.items():
        keys.extend(response_key(REQUEST, dataclasses.replace(GENERATOR, **{name: value})) for value in values)
    assert len(set(keys)) == len(keys)


def test_the_longest_unused_answer_makes_room() -> None:
    cache = ResponseCache(2 * size_of(answer()), ttl_s=60)
    for key in (b"1", b"2"):
        cache.put(key, answer())
    assert cache.get(b"1") == answer()
    cache.put(b"3", answer())
    assert [cache.get(key) for key in (b"1", b"2", b"3")] == [answer(), None, answer()]


def test_an_answer_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    cache = ResponseCache(2 * size_of(answer()), ttl_s=60)
    cache.put(b"1", answer())
    cache.put(b"2", answer("x" * 10_000))
    assert cache.get(b"1") == answer()
    assert cache.get(b"2") is None


@pytest.mark.parametrize("text", ["respuesta 0000", "ɨ́ɨ́ 0000 " * 40])
def test_the_size_told_is_the_memory_taken(text: str) -> None:
    def make(number: int) -> GenerationResult:
        timings = Timings(number + 0.1, number + 0.2, number + 0.3, number + 0.4)
        own = text.replace("0000", f"{number:04}")
        return answer(own, reasoning=own + ".", prompt_tokens=1000 + number, completion_tokens=number, timings=timings)

    cache, count = ResponseCache(10**9, ttl_s=60), 2000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            cache.put(hashlib.sha256(str(number).encode()).digest(), make(number))
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    told = size_of(make(0))
    assert 0.85 * told <= taken <= 1.05 * told
