"""``/openapi.json`` as people and generators of clients read it."""

from typing import Any

import jsonschema_rs
import pytest

from openapi_examples import check_operations, example_requests, operations
from tests.api.service_process import ServiceProcess


@pytest.fixture(scope="module")
def description(service: ServiceProcess) -> dict[str, Any]:
    schema: dict[str, Any] = service.client.get("/openapi.json").json()
    return schema


def resolved(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description["components"]["schemas"][name] if name else schema
    return found


def test_every_operation_and_answer_is_described(description: dict[str, Any]) -> None:
    check_operations(description)
    assert {"generate", "embed", "chat_completions"} <= {
        operation["operationId"] for _, operation in operations(description)
    }
    for name, operation in operations(description):
        for status, response in operation["responses"].items():
            body = response["content"].get("application/json", {})
            assert status < "400" or "example" in body or status == "503", (name, status)


def test_every_body_that_is_sent_has_an_example(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert resolved(description, schema)["examples"], name


def test_examples_of_bodies_follow_their_own_description(description: dict[str, Any]) -> None:
    components = description["components"]["schemas"]
    shown = {name: example for name, schema in components.items() for example in schema.get("examples", [])}
    assert {"GenerateRequest", "ChatCompletionRequest", "EmbedRequest"} <= set(shown)
    for name, example in shown.items():
        rules = jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": {"schemas": components}}
        )
        assert rules.is_valid(example), (name, example)


def test_every_operation_has_an_example_that_runs(description: dict[str, Any], service: ServiceProcess) -> None:
    refused = set()
    for each in example_requests(description):
        response = service.client.request(each.method, each.path, params=each.query, json=each.body)
        if response.status_code == 501:
            refused.add(each.path)
        else:
            assert response.status_code == 200, (each, response.text)
        assert response.status_code in each.documented
    # Without RERANK_MODEL, as their description says.
    assert refused == {"/v1/rerank", "/rerank"}


def test_an_optional_header_is_not_described_as_null(description: dict[str, Any]) -> None:
    parameters = [each for _, operation in operations(description) for each in operation.get("parameters", [])]
    limits = [each["schema"] for each in parameters if each["name"] == "X-Request-Timeout-Ms"]
    assert limits
    for limit in limits:
        assert (limit["type"], limit["minimum"], limit["maximum"]) == ("integer", 1, 86_400_000)


def test_a_bound_beyond_what_floats_can_tell_apart_is_exact(description: dict[str, Any]) -> None:
    for body in ("GenerateRequest", "ChatCompletionRequest"):
        seed = description["components"]["schemas"][body]["properties"]["seed"]["anyOf"][0]
        assert repr(seed["exclusiveMaximum"]) == "9223372036854775808"


def test_a_stop_is_described_as_it_is_accepted(description: dict[str, Any], service: ServiceProcess) -> None:
    kinds = description["components"]["schemas"]["GenerateRequest"]["properties"]["stop"]["anyOf"]
    assert {kind["type"] for kind in kinds} == {"string", "array", "null"}
    for stop in ("dos", ["dos"], None):
        assert service.generate("uno dos tres", stop=stop).status_code == 200


@pytest.mark.parametrize("path", ["/api/llm/generate", "/v1/chat/completions"])
def test_the_events_of_a_stream_are_described(description: dict[str, Any], path: str) -> None:
    streamed = description["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
    assert streamed["itemSchema"]["required"] == ["data"]


def test_the_description_promises_no_422_under_v1(description: dict[str, Any]) -> None:
    paths = description["paths"]
    chat = paths["/v1/chat/completions"]["post"]["responses"]
    assert set(chat) == {"200", "400", "401", "403", "404", "405", "413", "415", "500", "503", "504"}
    assert not [
        path for path in paths if path.startswith("/v1") for way in paths[path].values() if "422" in way["responses"]
    ]
    assert "422" in paths["/api/llm/generate"]["post"]["responses"]


def test_the_description_has_no_dangling_reference(description: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = set(references(description))
    assert "#/components/schemas/ChatCompletionChunk" in found
    assert {reference.rpartition("/")[2] for reference in found} <= set(description["components"]["schemas"])
