"""``/openapi.json`` as people and generators of clients read it."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from main import create_app
from openapi_examples import example_requests
from tests.backend_server import ready_backend, settings_for
from tests.fake_llm_service import FakeLLMService


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app(settings_for()).openapi()


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, ways in description["paths"].items():
        for method, operation in ways.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_says_what_it_does_and_under_which_heading(description: dict[str, Any]) -> None:
    headings = {tag["name"] for tag in description["tags"]}
    for name, operation in operations(description):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= headings, name


def test_every_answer_is_described_with_its_body_and_its_id(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        for status, response in operation["responses"].items():
            assert response["description"] not in ("", "Successful Response", "Validation Error"), (name, status)
            assert "X-Request-ID" in response["headers"], (name, status)
            (kind, body), *_ = sorted(response["content"].items())
            assert kind == ("text/plain" if (name, status) == ("GET /metrics", "200") else "application/json"), name
            assert body["schema"], (name, status)


def test_every_body_that_is_sent_has_an_example_that_follows_its_description(description: dict[str, Any]) -> None:
    components = description["components"]
    bodies = [operation["requestBody"] for _, operation in operations(description) if "requestBody" in operation]
    # The other one is a file.
    sent = [body["content"]["application/json"] for body in bodies if "application/json" in body["content"]]
    assert len(sent) == len(bodies) - 1
    for body in sent:
        rules = body["schema"]
        examples = components["schemas"][rules["$ref"].rpartition("/")[2]]["examples"]
        check = jsonschema_rs.validator_for({**rules, "components": components})
        assert all(check.is_valid(example) for example in examples)
        assert not check.is_valid({})


def test_every_operation_has_an_example_that_runs(
    description: dict[str, Any], database_url: str, service: FakeLLMService
) -> None:
    with ready_backend(database_url=database_url, llm_service_url=service.url) as client:
        # Ready it is; on a busy machine its ping may take longer than a second.
        for each in (each for each in example_requests(description) if each.path != "/readyz"):
            response = client.request(each.method, each.path, params=each.query, json=each.body)
            assert response.status_code == 200, (each, response.text)


def test_operations_have_names_that_a_generated_client_can_use(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(description)]
    assert len(names) == len(set(names))
    assert {"query", "search", "store_documents"} <= set(names)
