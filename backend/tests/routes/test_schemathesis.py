"""Every answer is as ``/openapi.json`` describes it."""

from pathlib import Path

import pytest

from schemathesis_runs import Explorer, examples
from tests.backend_server import ready_backend
from tests.fake_llm_service import FakeLLMService


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    return Explorer(Path(__file__).with_name("schemathesis_hooks.py"), tmp_path)


@pytest.mark.parametrize("count", examples("backend"))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_described(
    database_url: str, service: FakeLLMService, explorer: Explorer, mode: str, count: int
) -> None:
    with ready_backend(database_url=database_url, llm_service_url=service.url) as backend:
        explorer.check_answers(backend, mode, count)
