import json
from typing import Any

import pytest

from engines.errors import ContextLengthExceeded, EngineRestarted, GenerationFailed, Overloaded, Unsupported
from engines.upstream.faults import from_answer, from_event, retry_after


def refused(message: str, **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (
            refused(
                "This model's maximum context length is 2048 tokens. However, your request has 3000 input tokens.",
                type="BadRequestError",
                code=400,
            ),
            {"context_length": 2048, "prompt_tokens": 3000},
        ),
        (
            # vLLM 0.32 reads no further than it must.
            refused(
                "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
                "tokens, which exceeds this limit even without any output tokens. Please reduce the length of the "
                "input prompt. (parameter=input_tokens, value=2049)",
                type="BadRequestError",
                param="input_tokens",
                code=400,
            ),
            {"context_length": 2048, "prompt_tokens": 2049},
        ),
        (
            refused(
                "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
                type="invalid_request_error",
                code="context_length_exceeded",
            ),
            {"context_length": 4097, "prompt_tokens": 5000},
        ),
        (
            refused("the conversation has 2100 tokens; this model reads 2047", code="context_length_exceeded"),
            {"context_length": 2047, "prompt_tokens": 2100},
        ),
        (
            # Older vLLM has the fields at the top.
            json.dumps(
                {
                    "object": "error",
                    "message": "This model's maximum context length is 2048 tokens. However, you requested 2304 tokens "
                    "(2048 in the messages, 256 in the completion).",
                }
            ).encode(),
            {"context_length": 2048, "prompt_tokens": 2048},
        ),
        (refused("too long", type="exceed_context_size_error", code=400), {}),
        (
            refused("request exceeds", type="exceed_context_size_error", code=400, n_prompt_tokens=9, n_ctx=8),
            {"prompt_tokens": 9, "context_length": 8},
        ),
    ],
)
def test_a_conversation_that_is_too_long_is_known_as_such(body: bytes, counts: dict[str, int]) -> None:
    fault = from_answer(400, {}, body)
    assert type(fault) is ContextLengthExceeded
    assert fault.details == counts


def test_other_refusals_quote_the_upstream() -> None:
    fault = from_answer(422, {}, refused("temperature must\nbe lower " + "x" * 1000))
    assert type(fault) is Unsupported
    assert str(fault).startswith("the upstream refuses this request: temperature must be lower xxx")
    assert len(str(fault)) < 400


def test_an_engine_that_is_gone_is_worth_another_try_and_one_that_failed_is_not() -> None:
    gone = refused("EngineCore encountered an issue. See stack trace (above) for the root cause.", code=500)
    assert type(from_answer(500, {}, gone)) is EngineRestarted
    assert type(from_event(json.loads(gone)["error"])) is EngineRestarted
    assert type(from_answer(500, {}, refused("out of cheese", code=500))) is GenerationFailed


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"[" * 100_000, b'{"error": null}', b"\xff"])
def test_bodies_that_say_nothing_are_refusals_too(body: bytes) -> None:
    assert type(from_answer(400, {}, body)) is Unsupported


def test_errors_inside_a_stream_are_read_by_code_or_name() -> None:
    assert type(from_event({"code": 429})) is Overloaded
    assert type(from_event({"code": "draining"})) is Overloaded
    assert type(from_event({"type": "context_length_exceeded"})) is ContextLengthExceeded
    assert type(from_event({"code": True})) is GenerationFailed
    assert type(from_event(None)) is GenerationFailed


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), ("0", 1.0), ("99999999", 60.0), ("soon", None), ("-3", None), ("nan", None), ("", None), (None, None)],
)
def test_how_long_to_wait_is_read_and_bounded(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds
