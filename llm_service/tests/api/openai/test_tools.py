"""Tools and formats over HTTP, with an engine that says what it is sent."""

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.api.openai.openai_clients import MODEL
from tests.api.service_process import ServiceProcess, events_of

CHAT = "/v1/chat/completions"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
CALL = '<tool_call> {"name": "weather", "arguments": {"city": "Iquitos {\\"ñ\\"}"}} </tool_call>'
NUMBER = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}


def body(content: str, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "temperature": 0, **fields}


def rejected(service: ServiceProcess) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("llm_answers_rejected_total")).split()[1])


def test_a_call_in_the_text_becomes_a_tool_call(service: ServiceProcess) -> None:
    choice = service.client.post(CHAT, json=body(f"Miro. {CALL}", tools=[WEATHER])).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Miro."
    (call,) = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": 'Iquitos {"ñ"}'}


def test_a_streamed_call_comes_in_pieces_that_the_client_puts_together(client: OpenAI) -> None:
    with client.chat.completions.stream(**body(f"{CALL} {CALL}", tools=[WEATHER])) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert message.content in (None, "")
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls] == ["weather", "weather"]
    assert all(json.loads(call.function.arguments) == {"city": 'Iquitos {"ñ"}'} for call in message.tool_calls)
    assert events.count("tool_calls.function.arguments.done") == 2


def test_the_own_route_has_tools_too(service: ServiceProcess) -> None:
    answer = service.generate(CALL, tools=[WEATHER], temperature=0).json()
    assert (answer["answer"], answer["finish_reason"]) == ("", "tool_calls")
    assert answer["tool_calls"][0]["function"]["name"] == "weather"
    *events, done = events_of(service.generate(CALL, tools=[WEATHER], temperature=0, stream=True))
    assert done == "[DONE]"
    pieces = [event["tool_call_delta"]["function"] for event in events if "tool_call_delta" in event]
    assert json.loads("".join(piece["arguments"] for piece in pieces)) == {"city": 'Iquitos {"ñ"}'}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("hola", {"tools": [WEATHER], "tool_choice": "required"}),
        ('<tool_call> {"name": "clock", "arguments": {}} </tool_call>', {"tools": [WEATHER]}),
        ('<tool_call> {"name": "weather", "arguments": {"city": 1}} </tool_call>', {"tools": [WEATHER]}),
        ("hola", {"response_format": NUMBER}),
        ("NaN", {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}),
        ("sí no", {"structured_outputs": {"choice": ["sí", "no"]}}),
        ("12", {"structured_outputs": {"regex": "\\d{3}"}}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_what_was_asked_for_fails_and_is_counted(
    service: ServiceProcess, text: str, fields: dict[str, Any], stream: bool
) -> None:
    before = rejected(service)
    response = service.client.post(CHAT, json=body(text, stream=stream, **fields))
    if stream:
        assert "[DONE]" not in response.text
        error = json.loads(response.text.splitlines()[-2].removeprefix("data: "))["error"]
    else:
        assert response.status_code == 500
        error = response.json()["error"]
    assert error["code"] == "generation_failed"
    assert rejected(service) == before + 1


def test_an_answer_that_a_stop_string_cuts_is_incomplete_not_wrong(service: ServiceProcess) -> None:
    choice = service.client.post(CHAT, json=body("12 hola", response_format=NUMBER, stop=["2"])).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("1", "stop")
    choice = service.client.post(CHAT, json=body("hola 12", response_format=NUMBER, stop=["12"])).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hola", "length")


def test_a_call_that_the_budget_cuts_is_left_out(service: ServiceProcess) -> None:
    answer = service.generate(f"{CALL} {CALL}", tools=[WEATHER], temperature=0, max_new_tokens=8).json()
    assert (len(answer["tool_calls"]), answer["finish_reason"]) == (1, "length")


def test_without_tools_or_with_none_of_them_wanted_tags_are_text(service: ServiceProcess) -> None:
    assert service.generate(CALL, temperature=0).json()["answer"] == CALL
    assert service.generate(CALL, temperature=0, tools=[WEATHER], tool_choice="none").json()["answer"] == CALL


CLOCK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}
CLOCK_ALONE = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "clock"}}]}


def test_only_allowed_tools_are_called(service: ServiceProcess, client: OpenAI) -> None:
    asked = body(CALL, tools=[WEATHER, CLOCK])
    assert service.client.post(CHAT, json=asked).status_code == 200
    choice = {"type": "allowed_tools", "allowed_tools": CLOCK_ALONE}
    refused = service.client.post(CHAT, json=asked | {"tool_choice": choice})
    assert refused.json()["error"]["code"] == "generation_failed"
    tools: Any = [{"type": "function", "strict": True, **tool["function"]} for tool in (WEATHER, CLOCK)]
    called = client.responses.create(
        model=MODEL,
        input='<tool_call> {"name": "clock", "arguments": {}} </tool_call>',
        temperature=0,
        tools=tools,
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "clock"}]},
    )
    assert [item.name for item in called.output if item.type == "function_call"] == ["clock"]


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({"type": "allowed_tools", "allowed_tools": CLOCK_ALONE}, "tool_choice.allowed_tools.tools"),
        ({"type": "allowed_tools", "allowed_tools": CLOCK_ALONE | {"mode": "none"}}, "tool_choice.allowed_tools.mode"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, "tool_choice.allowed_tools.tools"),
        ({"type": "function", "function": {"name": "clock"}}, "tool_choice.function.name"),
        ({"type": "function", "function": {}}, "tool_choice.function.name"),
        ({"type": "custom"}, "tool_choice"),
        ("always", "tool_choice"),
    ],
)
def test_a_choice_that_is_none_is_refused_by_name(service: ServiceProcess, choice: Any, param: str) -> None:
    response = service.client.post(CHAT, json=body("hola", tools=[WEATHER], tool_choice=choice))
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


BAD_SCHEMAS = [
    ({"type": "strng"}, "invalid_value", "/type"),
    ({"properties": {"a": {"$ref": "#/$defs/nope"}}}, "invalid_value", "/properties/a/$ref"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "invalid_value", "/minimum"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "invalid_value", ""),
    ({"type": "string", "pattern": "("}, "invalid_value", "/pattern"),
    ({"type": "array", "uniqueItems": True}, "unsupported", "uniqueItems"),
    ({"properties": {"a": {"not": {"type": "null"}}}}, "unsupported", "/properties/a/not"),
    ({"type": "string", "pattern": "(?=a)b"}, "unsupported", "/pattern"),
    ({"$ref": "https://example.com/s.json"}, "unsupported", "/$ref"),
]


@pytest.mark.parametrize(("schema", "code", "place"), BAD_SCHEMAS)
def test_a_schema_that_cannot_be_followed_is_refused_with_the_place(
    service: ServiceProcess, schema: dict[str, Any], code: str, place: str
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["x"],
            "properties": {"x": schema}, "$defs": {}}}}  # fmt: skip
    for fields, param in (
        ({"response_format": form}, "response_format.json_schema.schema"),
        ({"tools": [WEATHER, tool]}, "tools[1].function.parameters"),
    ):
        if "#" in str(schema) and "tools" in fields:
            continue  # a reference from the top
        response = service.client.post(CHAT, json=body("hola", **fields))
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, code, param), error
        assert place in error["message"]


def test_unknown_fields_are_named_and_null_means_left_out(service: ServiceProcess) -> None:
    fields = {"top_a": 1, "user": None, "stream": None, "n": None, "stop": None, "tools": None, "response_format": None}
    request = body("hola", **fields)
    request["messages"][0] |= {"mood": "soft", "name": None}
    response = service.client.post(CHAT, json=request)
    assert response.json()["choices"][0]["message"]["content"] == "hola"
    assert set(response.headers["X-Ignored-Fields"].split(", ")) == {"top_a", "messages[0].mood"}
    # A header's text may neither begin nor end with a blank, nor hold a control character or a letter beyond ASCII.
    odd = service.client.post(CHAT, json=body("hola") | {" a ": 1, "": 1, "b,c\n": 1, "ñ": 1})
    assert odd.headers["X-Ignored-Fields"] == '?a?, "", b?c?, \\xf1'
    embedded = service.client.post("/v1/embeddings", json={"model": MODEL, "input": "a", "encoding_format": None})
    assert (embedded.status_code, embedded.headers.get("X-Ignored-Fields")) == (200, None)


def test_strict_fields_refuses_unknown_ones(configured: ServiceProcess) -> None:
    error = configured.client.post(CHAT, json=body("hola", top_a=1)).json()["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", "top_a")
    assert configured.generate("hola", top_a=1).status_code == 422
    assert configured.generate("hola", metadata={"a": "b"}).status_code == 200
