"""The transformers engine behind the whole HTTP path: what it cannot do is said, what it can is done."""

import json
from collections.abc import Iterator

import pytest

from tests.api.openai.raw_text import check_raw_text
from tests.api.service_process import ServiceProcess, running_service
from tests.engines.tiny_model import save_tiny_model

WORD = {"type": "object", "properties": {"word": {"enum": ["sí", "no"]}}, "required": ["word"]}
SCHEMA = {"type": "json_schema", "json_schema": WORD}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny"))
    with running_service(LLM_BACKEND="transformers", LLM_MODEL=str(folder), LLM_DEVICE_MAP="cpu") as running:
        yield running


def test_it_answers(service: ServiceProcess) -> None:
    body = service.generate("hola", max_new_tokens=5, temperature=0).json()
    assert body["usage"]["completion_tokens"] == 5
    assert service.health()["backend"] == "transformers"


def test_an_answer_follows_its_schema(service: ServiceProcess) -> None:
    response = service.generate("hola", max_new_tokens=40, response_format=SCHEMA)
    body = response.json()
    assert (response.status_code, body["finish_reason"]) == (200, "stop"), body
    assert json.loads(body["answer"]) in ({"word": "sí"}, {"word": "no"})


def test_texts_without_a_template(service: ServiceProcess) -> None:
    check_raw_text(service)
