"""The doctor: what it finds when something is broken on purpose."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest

from conftest import Checkout, free_port
from devtools import doctor_configuration, doctor_machine, dotenv
from devtools.layout import Workspace

# A port nobody listens on: what cannot be reached is found out at once.
NOWHERE = "http://127.0.0.1:9"


def install_torch(checkout: Checkout, built_for: str = "None", *, usable: bool = False) -> None:
    """Puts a stand-in for PyTorch into the LLM service's environment."""
    for folder in checkout.venv("llm_service").glob("**/site-packages"):
        (folder / "torch.py").write_text(
            "class version: cuda = " + built_for + "\n"
            f"class cuda: is_available = staticmethod(lambda: {usable})\n"
            "__version__ = '2.13.0'\n"
        )


def findings(checkout: Checkout, **variables: str) -> tuple[int, dict[str, list[str]]]:
    """The doctor's exit status, and its lines by verdict."""
    install_torch(checkout)
    return examine(checkout, **variables)


def examine(checkout: Checkout, **variables: str) -> tuple[int, dict[str, list[str]]]:
    """Like `findings`, with the PyTorch that is there."""
    ports = {"LLM_SERVICE_PORT": str(free_port()), "BACKEND_PORT": str(free_port())}
    checkout.environment.update({"HF_ENDPOINT": NOWHERE, "HF_HOME": str(checkout.root), **ports})
    try:
        done = checkout.dev("doctor", timeout=120, **variables)
    finally:
        for name in ("HF_ENDPOINT", "HF_HOME", *ports):
            checkout.environment.pop(name)
    lines: dict[str, list[str]] = {"ok": [], "warn": [], "fail": []}
    for verdict, text in re.findall(r"^(ok|warn|fail) +(.*(?:\n +->.*)?)", done.stdout, re.MULTILINE):
        lines[verdict].append(text)
    assert "Traceback" not in done.stdout
    return done.returncode, lines


@pytest.mark.parametrize(
    ("built_for", "usable", "seen"),
    [("None", False, "for the processor"), ("'13.0'", True, "a GPU it can use"), ("'13.0'", False, "build for CUDA")],
)
def test_the_build_of_pytorch_is_judged(checkout: Checkout, built_for: str, usable: bool, seen: str) -> None:
    install_torch(checkout, built_for, usable=usable)
    status, lines = examine(checkout, LLM_MODEL="embedded", PATH=str(Path(sys.executable).parent))
    assert status == 0
    assert any(line.startswith("PyTorch: 2.13.0") and seen in line for line in lines["ok"] + lines["warn"])


def test_a_pytorch_that_cannot_be_imported_is_a_fault(checkout: Checkout) -> None:
    for folder in checkout.venv("llm_service").glob("**/site-packages"):
        (folder / "torch.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    status, lines = examine(checkout, LLM_MODEL="embedded")
    assert status == 1
    assert any(line.startswith("PyTorch: cannot be imported") for line in lines["fail"])


def test_a_healthy_machine_has_no_fault(checkout: Checkout) -> None:
    status, lines = findings(checkout, LLM_MODEL="embedded")
    assert lines["fail"] == []
    assert status == 0
    subjects = {line.split(":")[0] for line in lines["ok"] + lines["warn"]}
    assert {"Python", "disk", "memory", "processor", "environment of backend", ".env", "model", "database"} <= subjects


def test_every_complaint_comes_with_its_mend(bare_checkout: Checkout) -> None:
    bare_checkout.write(".env", "no assignment\nLLM_SERVICE_HOST=0.0.0.0\n")
    _, lines = findings(bare_checkout, DATABASE_URL="mysql://x", LLM_MODEL="./missing.gguf")
    assert len(lines["fail"]) >= 4
    for line in lines["warn"] + lines["fail"]:
        assert "\n      -> " in line


def test_missing_and_outdated_environments_are_told(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    bare_checkout.write("backend/requirements.txt", "# changed\n")
    _, lines = findings(bare_checkout)
    assert any("environment of llm_service: not usable: there is none yet" in line for line in lines["warn"])
    assert any("environment of backend: its requirements have changed" in line for line in lines["warn"])


def test_a_port_held_by_a_stranger_is_a_fault(checkout: Checkout) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        status, lines = findings(checkout, BACKEND_PORT=str(port), LLM_MODEL="embedded")
    assert status == 1
    assert any(line.startswith(f"port {port}: taken by") and "--backend-port" in line for line in lines["fail"])


def test_a_host_open_to_others_without_a_key_is_a_fault(checkout: Checkout) -> None:
    status, lines = findings(checkout, LLM_SERVICE_HOST="0.0.0.0", LLM_MODEL="embedded")
    assert status == 1
    assert any("there is no LLM_SERVICE_API_KEY" in line for line in lines["fail"])
    status, lines = findings(checkout, LLM_SERVICE_HOST="0.0.0.0", LLM_SERVICE_API_KEY="k3y", LLM_MODEL="embedded")
    assert status == 0
    assert not any("k3y" in line for kind in lines.values() for line in kind)


def test_lines_of_env_files_that_cannot_be_understood_are_named_but_not_shown(checkout: Checkout) -> None:
    checkout.write("backend/.env", "LLM_TOP_P=0.9\nmy secret password\nLLM_MODEL='never closed\n")
    status, lines = findings(checkout)
    assert status == 1
    text = "\n".join(lines["fail"])
    assert "line 2 is not NAME=value" in text
    assert "line 3 LLM_MODEL: the quotation mark is never closed" in text
    assert "secret" not in text


def test_an_env_file_saved_as_utf_16_is_explained(checkout: Checkout) -> None:
    (checkout.root / ".env").write_text("LLM_MODEL=embedded\n", encoding="utf-16")
    _, lines = findings(checkout)
    assert any("save it as UTF-8" in line for line in lines["fail"])


def test_the_database_is_tried_and_its_password_never_shown(checkout: Checkout) -> None:
    url = "postgresql://bora:hunter2@127.0.0.1:9/postgres"
    status, lines = findings(checkout, DATABASE_URL=url)
    assert status == 1
    assert any("127.0.0.1:9 cannot be reached" in line for line in lines["fail"])
    assert "hunter2" not in str(lines)
    with socket.socket() as database:
        database.bind(("127.0.0.1", 0))
        database.listen()
        port = database.getsockname()[1]
        _, lines = findings(checkout, DATABASE_URL=f"postgresql://bora:hunter2@127.0.0.1:{port}/postgres")
    assert any(f"127.0.0.1:{port} can be reached" in line for line in lines["ok"])


@pytest.mark.parametrize(
    "url", ["postgresql://user:pa]ss[word@host/x", "mysql://host/x", "postgresql://user:p@host:port/x"]
)
def test_a_database_address_that_is_none_is_a_fault(checkout: Checkout, url: str) -> None:
    _, lines = findings(checkout, DATABASE_URL=url)
    assert any("DATABASE_URL is not a" in line for line in lines["fail"])


def test_a_model_that_cannot_be_had_is_a_warning_or_a_fault_by_configuration(checkout: Checkout) -> None:
    status, lines = findings(checkout)
    assert any("the small embedded model answers instead" in line for line in lines["warn"])
    assert status == 0
    status, lines = findings(checkout, LLM_OFFLINE_MODEL="none")
    assert any("Qwen/Qwen3-1.7B is not cached" in line for line in lines["fail"])
    assert status == 1


def test_a_cached_model_is_found_under_either_name(checkout: Checkout) -> None:
    snapshot = "hub/models--OpenVINO--Qwen3-1.7B-int4-ov/snapshots/abc"
    checkout.write(f"{snapshot}/openvino_model.xml", "")
    _, lines = findings(checkout)
    assert any(line.startswith("model: Qwen/Qwen3-1.7B is in") for line in lines["ok"])


def test_a_hub_that_never_answers_is_given_up_within_the_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        # Not listening: the connection is refused or left hanging, by system; both must end.
        assert not doctor_configuration.connects("127.0.0.1", silent.getsockname()[1], limit_s=0.5)
    assert not doctor_configuration.connects("name-that-does-not.exist.invalid", 443, limit_s=2)


def test_memory_and_processor_are_found_out_on_this_machine() -> None:
    total = doctor_machine.total_memory_gb()
    assert total is not None
    assert total > 0.1
    assert "cores" in doctor_machine.processor().seen


def test_env_values_are_read_like_the_apps_read_them(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# comment\n\nexport A=1\nb = two words  # comment\nC='single # kept'\nD=\"double\"\nE=\nF=a=b#c\n",
        encoding="utf-8-sig",
    )
    assert dotenv.parse(path) == {
        "A": "1", "B": "two words", "C": "single # kept", "D": "double", "E": "", "F": "a=b#c",
    }  # fmt: skip


def test_later_env_files_and_the_environment_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENV_FILES", raising=False)
    workspace = Workspace(tmp_path)
    for name, text in {".env": "A=1\nB=1\nC=1", "backend/.env": "B=2\nC=2", "llm_service/.env": "C=3"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert dotenv.configuration(workspace, workspace.llm_service, {}) == {"A": "1", "B": "2", "C": "3"}
    assert dotenv.configuration(workspace, workspace.backend, {"a": "9"}) == {"A": "9", "B": "2", "C": "2"}


def test_env_files_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("A=1")
    workspace = Workspace(tmp_path)
    monkeypatch.setenv("ENV_FILES", "none")
    assert dotenv.files_for(workspace, workspace.backend) == []
    monkeypatch.setenv("ENV_FILES", str(tmp_path / ".env"))
    assert dotenv.files_for(workspace, workspace.backend) == [tmp_path / ".env"]


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows the answer is that it is unknown")
def test_the_doctor_runs_where_no_frontend_program_is_on_the_path(checkout: Checkout) -> None:
    status, _ = findings(checkout, PATH=str(Path(sys.executable).parent), LLM_MODEL="embedded")
    assert status == 0
