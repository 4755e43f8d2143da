"""/v1/models, and the description of all of /v1."""

import time
from typing import Any

import openai
import pytest

from tests.api.openai_clients import sync_client
from tests.api.service_process import ServiceProcess


def test_the_models_are_listed(service: ServiceProcess) -> None:
    with sync_client(service) as client:
        listed = client.models.list().data
    assert [model.id for model in listed] == ["fake"]
    assert listed[0].owned_by == "local"
    assert 0 < listed[0].created <= time.time()


@pytest.mark.parametrize("name", ["fake", "default", "Qwen/Qwen3-1.7B", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_model_is_found_by_its_names(service: ServiceProcess, name: str) -> None:
    with sync_client(service) as client:
        assert client.models.retrieve(name).id == "fake"


@pytest.mark.parametrize("name", ["nobody/nothing", "gpt-4o", "Qwen"])
def test_others_are_not_found(service: ServiceProcess, name: str) -> None:
    with sync_client(service) as client, pytest.raises(openai.NotFoundError, match=name):
        client.models.retrieve(name)


def described(service: ServiceProcess) -> dict[str, Any]:
    schema: dict[str, Any] = service.client.get("/openapi.json").json()
    return schema


def test_the_description_promises_no_422_under_v1(service: ServiceProcess) -> None:
    paths = described(service)["paths"]
    chat = paths["/v1/chat/completions"]["post"]["responses"]
    assert set(chat) == {"200", "400", "401", "403", "404", "405", "413", "415", "500", "503", "504"}
    assert not [
        path for path in paths if path.startswith("/v1") for way in paths[path].values() if "422" in way["responses"]
    ]
    assert "422" in paths["/api/llm/generate"]["post"]["responses"]


def test_the_description_has_no_dangling_reference(service: ServiceProcess) -> None:
    schema = described(service)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = set(references(schema))
    assert "#/components/schemas/ChatCompletionChunk" in found
    assert {reference.rpartition("/")[2] for reference in found} <= set(schema["components"]["schemas"])
