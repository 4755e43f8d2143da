"""What a model thinks before it answers, as callers see it.

The fake engine repeats the message, so a message with the tags in it makes it think.
"""

from typing import Any

import httpx
import pytest

from tests.api.service_process import ServiceProcess
from tests.api.test_generate import events_of

THOUGHT = "<think> es un perro </think> oohííbye es perro"


def parts(response: httpx.Response) -> tuple[str | None, str]:
    assert response.status_code == 200, response.text
    body = response.json()
    return body["reasoning_content"], body["answer"]


def test_the_thought_is_not_part_of_the_answer(service: ServiceProcess) -> None:
    # One word stays one word when sampling shuffles them.
    response = service.generate("<think>un-perro</think>oohííbye", enable_thinking=True)
    assert parts(response) == ("un-perro", "oohííbye")


def test_a_thought_that_nobody_asked_for_is_kept_out_too(service: ServiceProcess) -> None:
    assert parts(service.generate(THOUGHT, temperature=0)) == ("es un perro", "oohííbye es perro")


def test_a_thought_that_the_prompt_opened_is_recognised(service: ServiceProcess) -> None:
    response = service.generate("[[in-thought]] es un perro </think> oohííbye", temperature=0)
    assert parts(response) == ("es un perro", "oohííbye")


@pytest.mark.parametrize("text", ["hola", "la etiqueta <think> abre y </think> cierra"])
def test_an_answer_without_a_thought_is_left_as_it_is(service: ServiceProcess, text: str) -> None:
    assert parts(service.generate(text, temperature=0)) == (None, text)


def test_a_stream_tells_the_thought_from_the_answer(service: ServiceProcess) -> None:
    for cached in (False, True):
        *deltas, whole, done = events_of(service.generate(THOUGHT, temperature=0, stream=True, seed=1))
        kinds = [next(iter(delta)) for delta in deltas]
        assert kinds == sorted(kinds, reverse=True), "the thought comes first"
        assert "".join(delta.get("reasoning_delta", "") for delta in deltas).strip() == "es un perro"
        assert "".join(delta.get("delta", "") for delta in deltas).strip() == "oohííbye es perro"
        assert (whole["reasoning_content"], whole["answer"]) == ("es un perro", "oohííbye es perro")
        assert (whole["cached"], done) == (cached, "[DONE]")


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_that_ends_inside_the_thought_leaves_no_answer(service: ServiceProcess, stream: bool) -> None:
    response = service.generate(THOUGHT, temperature=0, max_new_tokens=3, stream=stream)
    body = events_of(response)[-2] if stream else response.json()
    assert (body["reasoning_content"], body["answer"], body["finish_reason"]) == ("es un", "", "length")


def test_a_stop_string_ends_the_text_wherever_it_comes(service: ServiceProcess) -> None:
    body = service.generate(THOUGHT, temperature=0, stop="perro").json()
    assert (body["reasoning_content"], body["answer"], body["finish_reason"]) == ("es un", "", "stop")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"temperature": 0}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"response_format": {"type": "json_object"}}, "enable_thinking"),
    ],
)
def test_thinking_is_refused_together_with_what_forbids_it(
    service: ServiceProcess, fields: dict[str, Any], named: str
) -> None:
    response = service.generate("hola", enable_thinking=True, **fields)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["type"] == "invalid_request"
    assert error["message"].startswith(f"{named}: ")


def test_thinking_samples_where_the_default_is_greedy(configured: ServiceProcess) -> None:
    # Only what is decoded greedily comes with X-Cache.
    assert configured.generate("uno dos").headers["X-Cache"] == "miss"
    assert "X-Cache" not in configured.generate("uno dos", enable_thinking=True).headers
