"""What a small model writes under a grammar: calls name a given tool, arguments and answers follow their schemas."""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.structure.check import BadSchema, CheckedSchema
from services.structure.expressions import Grammar
from services.structure.json_grammar import JsonGrammar
from services.structure.json_syntax import CommonRules
from tests.api.service_process import ServiceProcess, running_service
from tests.services.random_schemas import LETTERS, random_parameters, random_schema

pytestmark = pytest.mark.model

TOGETHER = 16
NAMED = {"type": "function", "function": {"name": "note"}}
CHOICES = ["required", NAMED, "auto"]
ALPHABET = (
    "aábcdeéfghiíjkmnñoópqrstuúvwyɨɨ́ɨ̀ɨ̱ꞌʼAÁÉÑŨ019 "
    "\u0301\u0300\u0331\u0308\"\\/{}[]<>|&'\u200d\u00ad😀👩🏽‍🌾🇵🇪क्षि한中\u2028"
)

HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "Note this."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "note", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "done"},
    {"role": "user", "content": "Note this."},
]


def numbers(few: int, many: int) -> list[Any]:
    """Return the number of examples, and the larger one of ``dev.py test --all``."""
    return [few, pytest.param(many, marks=pytest.mark.slow(of="structure"))]


@pytest.fixture(scope="module", params=["openvino", "llamacpp"])
def served(request: pytest.FixtureRequest) -> Iterator[ServiceProcess]:
    """The embedded model on either engine."""
    if request.param == "openvino":
        yield request.getfixturevalue("real")
        return
    patience = {"LLM_REQUEST_TIMEOUT_S": "600", "LLM_STALL_TIMEOUT_S": "600"}
    with running_service(
        LLM_BACKEND="llamacpp", LLM_MODEL="embedded", HF_HUB_OFFLINE="1", ready=True, **patience
    ) as service:
        service.client.timeout = 600
        yield service


def ask(service: ServiceProcess, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Return the status of a completion, and its choice or its error."""
    body = {"model": "default", "temperature": 1.0, **fields}
    answer = service.client.post("/v1/chat/completions", json=body)
    content = answer.json()
    return answer.status_code, content["error"] if "error" in content else content["choices"][0]


def ask_streamed(service: ServiceProcess, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Return the status of a streamed completion, and the choice put together from its pieces, or its error."""
    body = {"model": "default", "temperature": 1.0, "stream": True, **fields}
    calls: dict[int, dict[str, Any]] = {}
    content, reason = "", None
    with service.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            return answer.status_code, json.loads(answer.read())["error"]
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                return 500, event["error"]
            choice = event["choices"][0]
            reason = choice["finish_reason"] or reason
            content += choice["delta"].get("content") or ""
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
                for field, text in piece["function"].items():
                    call["function"][field] += text
    return 200, {"finish_reason": reason, "message": {"content": content, "tool_calls": list(calls.values())}}


def tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "Note it.", "parameters": parameters}}


def enforceable(rng: random.Random) -> dict[str, Any]:
    """Return random parameters that are not refused."""
    while True:
        schema = random_parameters(rng)
        with contextlib.suppress(BadSchema):
            grammar = Grammar()
            JsonGrammar(CheckedSchema(json.dumps(schema)), grammar, CommonRules(grammar)).root(only_objects=True)
            return schema


def check_calls(choice: dict[str, Any], parameters: dict[str, Any]) -> str:
    """Check the calls of an answer that ended by itself; return how it ended."""
    reason, calls = choice["finish_reason"], choice["message"].get("tool_calls") or []
    if reason == "length":
        return "length"
    assert (reason == "tool_calls") == bool(calls)
    for call in calls:
        schema = parameters[call["function"]["name"]]
        assert Draft202012Validator(schema).is_valid(json.loads(call["function"]["arguments"])), (schema, call)
    return str(reason)


@pytest.mark.parametrize("count", numbers(4, 600))
def test_calls_name_a_tool_and_follow_its_parameters(served: ServiceProcess, count: int) -> None:
    def one(seed: int) -> str:
        rng, choice = random.Random(seed), CHOICES[seed % len(CHOICES)]
        parameters = {name: enforceable(rng) for name in ("note", "save.it")}
        status, answer = (ask_streamed if seed % 2 else ask)(
            served,
            messages=HISTORY,
            tools=[tool(name, schema) for name, schema in parameters.items()],
            tool_choice=choice,
            max_tokens=160,
            seed=seed,
        )
        assert status == 200, answer
        ended = check_calls(answer, parameters)
        if choice != "auto":
            assert ended in ("tool_calls", "length")
        if choice == NAMED and ended == "tool_calls":
            assert [call["function"]["name"] for call in answer["message"]["tool_calls"]] == ["note"]
        return ended

    with ThreadPoolExecutor(TOGETHER) as pool:
        outcomes = Counter(pool.map(one, range(count)))
    assert outcomes["tool_calls"], outcomes


@pytest.mark.parametrize("count", numbers(5, 300))
def test_answers_follow_random_schemas(served: ServiceProcess, count: int) -> None:
    def one(seed: int) -> str:
        schema = random_schema(random.Random(1000 + seed))
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        messages = [{"role": "user", "content": "Make something up."}]
        status, answer = ask(served, messages=messages, response_format=form, max_tokens=120, seed=seed)
        if status == 400:
            assert answer["param"].startswith("response_format"), answer
            return str(answer["code"])
        assert status == 200, answer
        if answer["finish_reason"] == "stop":
            assert Draft202012Validator(schema).is_valid(json.loads(answer["message"]["content"])), (schema, answer)
        return str(answer["finish_reason"])

    with ThreadPoolExecutor(TOGETHER) as pool:
        outcomes = Counter(pool.map(one, range(count)))
    assert outcomes["stop"], outcomes


@pytest.mark.parametrize("count", numbers(10, 500))
def test_letters_come_back_as_they_are(served: ServiceProcess, count: int) -> None:
    rng = random.Random(7)
    texts = list(
        dict.fromkeys([*LETTERS, *("".join(rng.choices(ALPHABET, k=rng.randint(1, 8))) for _ in range(count))])
    )

    def one(group: list[str]) -> None:
        words: dict[str, Any] = {text: {"enum": [text]} if at % 2 else {"const": text} for at, text in enumerate(group)}
        schema = {"type": "object", "properties": words, "required": group, "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        messages = [{"role": "user", "content": "Answer."}]
        status, answer = ask(served, messages=messages, response_format=form, max_tokens=1000)
        assert (status, answer.get("finish_reason")) == (200, "stop"), answer
        assert json.loads(answer["message"]["content"]) == {text: text for text in group}

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(one, [texts[at : at + 5] for at in range(0, count, 5)]))
