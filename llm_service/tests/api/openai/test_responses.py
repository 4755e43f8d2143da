"""``/v1/responses`` with OpenAI's own client and the fake engine, which repeats the last user message."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import (
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
)

from tests.api.service_process import ServiceProcess

MODEL = "default"
CALL = '<tool_call> {"name": "weather", "arguments": {"city": "Lima"}} </tool_call>'
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "How the weather is",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def test_a_question_is_answered(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input="uno dos", temperature=0, instructions="be brief")
    assert (answer.status, answer.output_text, answer.model) == ("completed", "uno dos", "fake")
    (message,) = answer.output
    assert isinstance(message, ResponseOutputMessage)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (4, 2, 6)
    assert answer.instructions == "be brief"


def test_a_cut_answer_is_incomplete(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input="uno dos tres", temperature=0, max_output_tokens=2)
    assert (answer.status, answer.output_text) == ("incomplete", "uno dos")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("budget", "statuses"), [(5, ["incomplete"]), (8, ["completed"]), (12, ["completed", "incomplete"])]
)
def test_a_call_that_the_budget_cuts_is_incomplete(client: OpenAI, budget: int, statuses: list[str]) -> None:
    with client.responses.stream(
        model=MODEL, input=f"{CALL} {CALL}", tools=[WEATHER], temperature=0, max_output_tokens=budget
    ) as stream:
        final = next(event for event in stream if event.type == "response.incomplete").response
    assert [item.status for item in final.output if item.type == "function_call"] == statuses


def test_a_thought_is_an_item(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input="[[in-thought]] hm hm </think> uno", temperature=0)
    thought, message = answer.output
    assert isinstance(thought, ResponseReasoningItem)
    assert thought.content is not None
    assert [part.text for part in thought.content] == ["hm hm"]
    assert isinstance(message, ResponseOutputMessage)
    assert answer.output_text == "uno"


def test_a_call_goes_out_and_its_result_comes_back(client: OpenAI) -> None:
    asked: Any = [{"role": "user", "content": CALL}]
    answer = client.responses.create(model=MODEL, input=asked, tools=[WEATHER], temperature=0)
    (call,) = answer.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Lima"})
    # As the client's own examples do: the answer's items, then the result.
    asked += [item.to_dict() for item in answer.output]
    asked += [{"type": "function_call_output", "call_id": call.call_id, "output": "sun"}]
    asked += [{"role": "user", "content": [{"type": "input_text", "text": "gracias"}]}]
    final = client.responses.create(model=MODEL, input=asked, tools=[WEATHER], temperature=0)
    assert final.output_text == "gracias"


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ("uno dos tres", ["message"]),
        ("[[in-thought]] hm hm </think> uno dos", ["reasoning", "message"]),
        (CALL, ["function_call"]),
        (f"voy {CALL}", ["message", "function_call"]),
        ("<think> </think>", ["message"]),
    ],
)
def test_a_stream_builds_the_whole_response(client: OpenAI, content: str, kinds: list[str]) -> None:
    with client.responses.stream(model=MODEL, input=content, tools=[WEATHER], temperature=0) as stream:
        types = [event.type for event in stream]
        final = stream.get_final_response()
    assert types[:2] == ["response.created", "response.in_progress"]
    assert types[-1] == "response.completed"
    assert [item.type for item in final.output] == kinds
    assert types.count("response.output_item.added") == types.count("response.output_item.done") == len(kinds)
    whole = client.responses.create(model=MODEL, input=content, tools=[WEATHER], temperature=0)
    # White space before a call is known to be superfluous only when the call begins.
    assert final.output_text.strip() == whole.output_text
    assert [item.type for item in whole.output] == kinds


def test_events_are_numbered_and_named(service: ServiceProcess) -> None:
    body = {"model": MODEL, "input": "uno dos", "stream": True, "temperature": 0}
    lines = service.client.post("/v1/responses", json=body).text.splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [each["type"] for each in data] == names
    assert [each["sequence_number"] for each in data] == list(range(len(data)))


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_sent_comes_back_whatever_its_numbers_and_letters(service: ServiceProcess, stream: bool) -> None:
    limits = {"type": "object", "properties": {"city": {"maxLength": 2**70}}}
    body = {"model": MODEL, "input": "uno", "metadata": {"half": "\ud800"}, "stream": stream}
    body["tools"] = [{"type": "function", "name": "f", "parameters": limits}]
    answer = service.client.post(
        "/v1/responses", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    assert str(2**70) in answer.text
    assert "\\ud800" in answer.text


def test_a_fault_in_a_stream_is_told(client: OpenAI) -> None:
    *_, failed, error = client.responses.create(model=MODEL, input="uno [[fail]]", stream=True)
    assert isinstance(failed, ResponseFailedEvent)
    assert failed.response.error is not None
    assert isinstance(error, ResponseErrorEvent)
    assert error.code == "generation_failed"


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "Nothing is stored here"),
        ({"conversation": "conv_1"}, "conversation", "Nothing is stored here"),
        ({"background": True}, "background", "not supported"),
        ({"truncation": "auto"}, "truncation", "not supported"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
        ({"tool_choice": "required"}, "tool_choice", "only together with tools"),
        ({"top_logprobs": 2}, "top_logprobs", "only together with include"),
        ({"input": []}, "input", "at least 1"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "at least one message"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
            "text",
        ),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", "function_call_output"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"reasoning": {"effort": "high"}, "temperature": 0}, "temperature", "cannot be combined with thinking"),
        (
            {"reasoning": {"effort": "high"}, "text": {"format": {"type": "json_object"}}},
            "reasoning.effort",
            "cannot be combined with response_format",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    client: OpenAI, fields: dict[str, Any], param: str, words: str
) -> None:
    body: dict[str, Any] = {"model": MODEL, "input": "hola", **fields}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**body)
    assert caught.value.param == param
    assert words in caught.value.message


def test_what_changes_nothing_is_accepted(client: OpenAI) -> None:
    answer = client.responses.create(
        model=MODEL,
        input=[
            {"type": "message", "role": "developer", "content": "be brief"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"type": "message", "role": "user", "content": "uno"},
        ],
        temperature=0,
        store=True,
        include=["reasoning.encrypted_content"],
        metadata={"who": "me"},
        truncation="disabled",
        service_tier="auto",
        prompt_cache_key="x",
        user="me",
        extra_body={"colour": "blue"},
    )
    assert answer.output_text == "uno"
    assert answer.metadata == {"who": "me"}
