"""From a name to an answer: a hub on this machine, the service as a process, the engine that was chosen."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.api.service_process import ServiceProcess, running_service
from tests.engines.tiny_gguf import save_tiny_gguf
from tests.engines.tiny_model import save_tiny_model
from tests.model_store.conftest import Machine
from tests.model_store.hub_server import HubServer

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


# --- engines ------------------------------------------------------------------------------------


def test_a_file_that_openvino_cannot_read_is_served_by_the_other_engine(tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q5_0")
    with running_service(LLM_BACKEND="auto", LLM_MODEL=str(file), LLM_DEVICE_MAP="cpu") as service:
        health = service.health()
        assert (health["backend"], health["artifact"], health["degraded"]) == ("transformers", "gguf", False)
        assert "tiny goes to the transformers engine: OpenVINO reads no Q5_0 tensors" in service.log()
        assert answers(service)


@pytest.mark.parametrize("file_type", [None, "F16"])
def test_a_file_that_openvino_fails_on_is_served_by_the_other_engine(tmp_path: Path, file_type: str | None) -> None:
    # Its header lacks a field, or says F16 of tensors that are Q8_0: found out only by loading it.
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q8_0", file_type=file_type)
    with running_service(LLM_BACKEND="auto", LLM_MODEL=str(file), LLM_DEVICE_MAP="cpu") as service:
        assert service.health()["backend"] == "transformers"
        assert "OpenVINO could not load tiny" in service.log()
        assert "trying the transformers engine" in service.log()
        assert answers(service)


def test_where_the_engine_is_set_the_start_fails_with_what_to_do(tmp_path: Path) -> None:
    q5 = save_tiny_gguf(tmp_path / "q5.gguf", "Q5_0")
    log = refused(LLM_BACKEND="openvino", LLM_MODEL=str(q5))
    assert "cannot start: " in log
    assert "OpenVINO reads no Q5_0 tensors: use another file" in log
    assert "or set LLM_BACKEND=transformers" in log
    broken = save_tiny_gguf(tmp_path / "broken.gguf", "Q8_0", file_type=None)
    log = refused(LLM_BACKEND="openvino", LLM_MODEL=str(broken))
    assert "cannot start: OpenVINO could not load broken" in log
    assert "Traceback" not in log


def test_a_file_that_no_engine_reads_fails_with_one_line(tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "F16")
    content = bytearray(file.read_bytes())
    at = content.index(b"blk.0.attn_q.weight") + len("blk.0.attn_q.weight") + 4 + 16
    content[at : at + 4] = (41).to_bytes(4, "little")  # Q1_0
    file.write_bytes(content)
    log = refused(LLM_BACKEND="auto", LLM_MODEL=str(file))
    lines = [line for line in log.splitlines() if "cannot start" in line]
    assert len(lines) == 1
    assert "OpenVINO reads no Q1_0 tensors: use another file, of Q4_0, Q8_0 or F16 tensors" in lines[0]
    assert "transformers reads no Q1_0 tensors" in lines[0]
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
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "Q8_0")
    machine.hub.publish(REPO, {"tiny.gguf": file.read_bytes()})
    machine.run("pull", f"{REPO}:tiny.gguf")
    with serving(machine, LLM_MODEL=f"{REPO}:tiny.gguf", HF_HUB_OFFLINE="1") as service:
        assert (service.health()["backend"], service.health()["degraded"]) == ("openvino", False)
        assert answers(service)


def test_a_model_of_pickles_is_no_start(machine: Machine) -> None:
    machine.hub.publish(REPO, {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04"})
    log = refused(**machine.environment, LLM_BACKEND="auto", LLM_MODEL=REPO)
    assert "only as pickle (pytorch_model.bin)" in log
    assert "Traceback" not in log
