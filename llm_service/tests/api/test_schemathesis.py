"""Every answer is as ``/openapi.json`` describes it."""

from pathlib import Path

import pytest

from schemathesis_runs import Explorer, examples
from tests.api.service_process import ServiceProcess


@pytest.fixture
def explorer(tmp_path: Path) -> Explorer:
    return Explorer(Path(__file__).with_name("schemathesis_hooks.py"), tmp_path)


@pytest.mark.parametrize("count", examples("llm_service"))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_described(ranking: ServiceProcess, explorer: Explorer, mode: str, count: int) -> None:
    """Without a model that ranks, /rerank would be a 501."""
    restarts = ranking.health()["restarts"]
    explorer.check_answers(ranking.client, mode, count)
    assert ranking.health()["restarts"] == restarts
