"""From a name to an answer: a hub on this machine, the service as a process, the engine that was chosen."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.api.service_process import ServiceProcess, running_service
from tests.engines.tiny_gguf import save_tiny_gguf
from tests.models_cli.conftest import Machine
from tests.models_cli.hub_server import HubServer

pytestmark = pytest.mark.model
REPO = "someone/tiny"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with HubServer().running() as hub:
        yield Machine(tmp_path, hub)


def serving(machine: Machine, **more: str) -> AbstractContextManager[ServiceProcess]:
    settings = {**machine.environment, "LLM_BACKEND": "auto", "LLM_MODEL": REPO, **more}
    return running_service(ready=True, **settings)


def answers(service: ServiceProcess) -> bool:
    response = service.generate("hola", max_new_tokens=4, temperature=0)
    return response.status_code == 200 and response.json()["tokens_generated"] > 0


def refused(**settings: str) -> str:
    """Start a service that must not become ready; return its log."""
    service = ServiceProcess(**settings)
    try:
        assert service.process.wait(120) is not None
        return service.log()
    finally:
        service.stop()


def test_an_engine_that_does_not_load_the_file_is_a_start_that_says_what_to_set(tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q5_0")
    log = refused(LLM_BACKEND="openvino", LLM_MODEL=str(file))
    lines = [line for line in log.splitlines() if "cannot start" in line]
    assert len(lines) == 1
    assert "a model in gguf format, which LLM_BACKEND=openvino does not load: set LLM_BACKEND=llamacpp" in lines[0]
    assert "Traceback" not in log


# --- the hub ------------------------------------------------------------------------------------


def test_a_model_from_the_hub_is_pinned_and_served_without_it(machine: Machine, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q5_0")
    old = machine.hub.publish(REPO, {"tiny-Q4_K_M.gguf": file.read_bytes()})
    with serving(machine) as service:
        health = service.health()
        assert (health["model"], health["backend"], health["degraded"]) == (REPO, "llamacpp", False)
        assert answers(service)
    assert machine.pins()[f"{REPO}:tiny-Q4_K_M.gguf"]["commit"] == old
    new = machine.hub.publish(REPO, {"tiny-Q4_K_M.gguf": file.read_bytes() + b"\0"})
    machine.hub.requests.clear()
    # What a start loads while the hub has something newer; and a start without it.
    assert f"/{old}/" in machine.listed(LLM_MODEL=REPO)["configured"]["LLM_MODEL"]["path"]
    with serving(machine, HF_HUB_OFFLINE="1") as service:
        assert (service.health()["backend"], service.health()["degraded"]) == ("llamacpp", False)
        assert answers(service)
    assert not machine.snapshot(REPO, new).exists()
    assert not [entry for entry in machine.hub.requests if "resolve" in entry.path]
