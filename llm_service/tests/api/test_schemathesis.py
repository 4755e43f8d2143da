"""Every answer is as ``/openapi.json`` describes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemathesis_runs import Explorer, examples
from tests.api.service_process import ServiceProcess, running_service

KEY = "correct-horse"


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    """A service that does all it can: without a model that ranks, /rerank is a 501."""
    with running_service(RERANK_MODEL="fake", RERANK_BACKEND="fake") as process:
        yield process


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    return Explorer(Path(__file__).with_name("schemathesis_hooks.py"), tmp_path)


@pytest.mark.parametrize("count", examples("llm_service"))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_described(service: ServiceProcess, explorer: Explorer, mode: str, count: int) -> None:
    restarts = service.health()["restarts"]
    explorer.check_answers(service.client, mode, count)
    assert service.health()["restarts"] == restarts


def test_every_operation_that_is_said_to_need_the_key_does(explorer: Explorer) -> None:
    with running_service(LLM_SERVICE_API_KEY=KEY) as guarded:
        assert explorer.check_key(guarded.client, KEY) == {"/livez", "/readyz"}
