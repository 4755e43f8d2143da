"""``/openapi.json`` as people and generators of clients read it."""

from typing import Any

import jsonschema_rs
import pytest

from main import create_app
from openapi_examples import check_operations, example_requests, operations
from tests.backend_server import ready_backend, settings_for
from tests.fake_llm_service import FakeLLMService


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app(settings_for()).openapi()


def test_every_operation_and_answer_is_described(description: dict[str, Any]) -> None:
    check_operations(description)
    assert {"query", "search", "store_documents"} <= {
        operation["operationId"] for _, operation in operations(description)
    }


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
