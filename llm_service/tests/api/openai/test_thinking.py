"""What a model thinks before it answers, as callers see it.

The fake engine repeats the message, so a message with the tags in it makes it think.
"""

from typing import Any

import pytest

from tests.api.service_process import ServiceProcess, events_of

THOUGHT = "<think> es un perro </think> oohííbye es perro"
NO_THOUGHT = "la etiqueta <think> abre y </think> cierra"


@pytest.mark.parametrize(
    ("text", "fields", "thought", "answer"),
    [
        # One word stays one word when sampling shuffles them.
        ("<think>un-perro</think>oohííbye", {"enable_thinking": True}, "un-perro", "oohííbye"),
        # Nobody asked for it.
        (THOUGHT, {"temperature": 0}, "es un perro", "oohííbye es perro"),
        # The prompt opened it.
        ("[[in-thought]] es un perro </think> oohííbye", {"temperature": 0}, "es un perro", "oohííbye"),
        ("hola", {"temperature": 0}, None, "hola"),
        (NO_THOUGHT, {"temperature": 0}, None, NO_THOUGHT),
    ],
)
def test_the_thought_is_not_part_of_the_answer(
    service: ServiceProcess, text: str, fields: dict[str, Any], thought: str | None, answer: str
) -> None:
    body = service.generate(text, **fields).json()
    assert (body["reasoning_content"], body["answer"]) == (thought, answer)


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
