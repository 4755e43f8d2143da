"""From a name to an answer: a hub on this machine, the service as a process, the engine that was chosen."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.api.service_process import ServiceProcess, running_service
from tests.engines.tiny_gguf import save_tiny_gguf
from tests.engines.tiny_model import save_tiny_model
from tests.models_cli.conftest import Machine
from tests.models_cli.hub_server import HubServer

pytestmark = pytest.mark.model
REPO = "someone/tiny"
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


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


def test_the_service_loads_a_model_from_the_hub_and_pins_it(machine: Machine, tmp_path: Path) -> None:
    old = machine.hub.publish_folder(REPO, save_tiny_model(tmp_path / "old", template=TEMPLATE))
    with serving(machine) as service:
        health = service.health()
        assert (health["model"], health["backend"], health["degraded"]) == (REPO, "transformers", False)
        assert answers(service)
    assert machine.pins()[REPO]["commit"] == old
    new = machine.hub.publish_folder(REPO, save_tiny_model(tmp_path / "new", template=TEMPLATE + " "))
    machine.hub.requests.clear()
    with serving(machine) as service:
        assert answers(service)
    assert machine.pins()[REPO]["commit"] == old
    assert not machine.snapshot(REPO, new).exists()
    assert not [entry for entry in machine.hub.requests if "resolve" in entry.path]


def test_what_was_pulled_is_served_without_the_hub(machine: Machine, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q5_0")
    machine.hub.publish(REPO, {"tiny.gguf": file.read_bytes()})
    machine.run("pull", f"{REPO}:tiny.gguf")
    with serving(machine, LLM_MODEL=f"{REPO}:tiny.gguf", HF_HUB_OFFLINE="1") as service:
        assert (service.health()["backend"], service.health()["degraded"]) == ("llamacpp", False)
        assert answers(service)
