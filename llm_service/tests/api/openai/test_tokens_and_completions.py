"""``/tokenize``, ``/detokenize`` and ``/v1/completions`` with the fake engine, whose tokens are bytes."""

from typing import Any

import pytest

from tests.api.openai.openai_clients import sync_client
from tests.api.service_process import ServiceProcess

MODEL = "default"


def test_a_text_goes_to_token_ids_and_back(service: ServiceProcess) -> None:
    there = service.client.post("/tokenize", json={"prompt": "mañana"}).json()
    assert there == {"count": 7, "max_model_len": 2048, "tokens": list("mañana".encode())}
    back = service.client.post("/detokenize", json={"tokens": there["tokens"]})
    assert back.json() == {"prompt": "mañana"}


def test_a_conversation_is_counted(service: ServiceProcess) -> None:
    messages = [{"role": "user", "content": "hola"}, {"role": "assistant", "content": "sí"}]
    assert service.client.post("/tokenize", json={"messages": messages}).json()["count"] == len("hola\nsí".encode())


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/tokenize", {}, 422, "prompt"),
        ("/tokenize", {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, 422, "prompt"),
        ("/tokenize", {"prompt": "x" * 300_000}, 422, "prompt"),
        ("/tokenize", {"prompt": "x", "model": "gpt-4"}, 404, "model: 'gpt-4'"),
        ("/tokenize", {"messages": [{"role": "user", "content": "x"}], "add_special_tokens": True}, 422, "add_special"),
        ("/detokenize", {"tokens": [-1]}, 422, "tokens.0"),
        ("/detokenize", {"tokens": [256]}, 400, "tokens"),
        ("/detokenize", {"tokens": "x"}, 422, "tokens"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    service: ServiceProcess, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    answer = service.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].startswith(field)


def test_a_prompt_is_continued(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        answer = client.completions.create(model=MODEL, prompt="uno dos tres", max_tokens=2, temperature=0)
    assert answer.object == "text_completion"
    assert [(each.index, each.text, each.finish_reason) for each in answer.choices] == [(0, "uno dos", "length")]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 2)


def test_several_prompts_have_several_answers_each(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        answer = client.completions.create(model=MODEL, prompt=["a b", "c"], n=2, temperature=0, echo=True)
    assert [each.text for each in sorted(answer.choices, key=lambda each: each.index)] == [
        "a ba b",
        "a ba b",
        "cc",
        "cc",
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 6)


def test_a_stream_adds_up_to_the_whole_answer(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        stream = client.completions.create(
            model=MODEL,
            prompt="uno dos tres",
            temperature=0,
            stream=True,
            echo=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    pieces = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(piece.text for piece in pieces) == "uno dos tresuno dos tres"
    assert [piece.finish_reason for piece in pieces][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_tags_of_thoughts_are_text_here(service: ServiceProcess) -> None:
    for stream in (False, True):
        body = {"model": MODEL, "prompt": "<think> a </think> b", "temperature": 0, "stream": stream}
        answer = service.client.post("/v1/completions", json=body)
        assert "<think>" in answer.text
        assert "</think>" in answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 2}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools"),
        ({"prompt": ["x"] * 5, "n": 8}, "n"),
        ({"prompt": ["x"] * 17}, "prompt"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    service: ServiceProcess, fields: dict[str, Any], param: str
) -> None:
    answer = service.client.post("/v1/completions", json={"model": MODEL, "prompt": "x", **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_a_fault_in_a_stream_has_no_end(service: ServiceProcess) -> None:
    body = {"model": MODEL, "prompt": "uno [[fail]]", "stream": True}
    text = service.client.post("/v1/completions", json=body).text
    assert '"generation_failed"' in text
    assert "[DONE]" not in text
