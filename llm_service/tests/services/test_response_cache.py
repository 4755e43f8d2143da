import dataclasses
import hashlib
import tracemalloc
from dataclasses import replace
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
TOOL = Tool("a", None, "{}")

ALIKE: list[dict[str, Any]] = [
    {"messages": (ChatMessage("user", "hola "),)},
    {"messages": (ChatMessage("system", "hola"),)},
    {"messages": (ChatMessage("user", "ho"), ChatMessage("user", "la"))},
    {"messages": (ChatMessage("user", "ho"), ChatMessage("assistant", "la"))},
    {"messages": (ChatMessage("user", "hola'), ChatMessage(role='user', content='"),)},
    {"messages": (ChatMessage("user", "ñandú \\xf1 \\ud800"),)},
    {"messages": (ChatMessage("user", "\xf1and\xfa \xf1 \ud800"),)},
    {"grammar": "None"},
    {"output": OutputFormat("json", "{}")},
    {"output": OutputFormat("regex", "{}")},
    *({"tools": tools} for tools in (Tools((TOOL,)), Tools((TOOL,), "none"), Tools((replace(TOOL, description="x"),)))),
    *({"sampling": replace(SAMPLING, stop=stop)} for stop in [("a",), ("a", "b"), ("ab",), ("a,b",), ("a', 'b",)]),
    *({"sampling": replace(SAMPLING, seed=seed)} for seed in (0, 1)),
]
"""Changes of a request, some of which look alike."""
NOT_ASKED = {"id", "stream", "sampling", "trace_headers"}


def answer(text: str = "hola", **changes: Any) -> GenerationResult:
    plain = GenerationResult(text, "fake", "cpu", "stop", 1, 1, Timings(0.0, 1.0, 2.0, 3.0))
    return replace(plain, **changes)


def names(of: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(of)}


def other(of: Any, name: str) -> Any:
    return replace(of, **{name: "other"})


def test_whatever_changes_the_answer_changes_the_key() -> None:
    requests = [REQUEST, *(replace(REQUEST, **change) for change in ALIKE)]
    requests += [other(REQUEST, name) for name in names(REQUEST) - NOT_ASKED]
    requests += [replace(REQUEST, sampling=other(SAMPLING, name)) for name in names(SAMPLING)]
    keys = [response_key(request, GENERATOR) for request in requests]
    keys += [response_key(REQUEST, other(GENERATOR, name)) for name in names(GENERATOR)]
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
