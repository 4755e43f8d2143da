"""The doctor: what it finds when something is broken on purpose."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT, Checkout
from devtools import doctor, doctor_configuration, dotenv
from devtools.findings import Finding
from devtools.layout import Workspace
from doctor_runs import StandIn, findings, has


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


def test_a_port_held_by_a_stranger_is_a_fault(checkout: Checkout) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        status, lines = findings(checkout, BACKEND_PORT=str(port), LLM_MODEL="embedded")
    assert status == 1
    assert any(line.startswith(f"port {port}: taken by") and "--backend-port" in line for line in lines["fail"])


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def test_a_port_held_by_the_service_itself_is_well(checkout: Checkout, server: StandIn) -> None:
    status, lines = findings(checkout, BACKEND_PORT=str(server.port), LLM_MODEL="embedded")
    assert status == 0
    assert has(lines["ok"], f"port {server.port}", "answers there like a running backend")


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_a_fault(checkout: Checkout, port: str) -> None:
    status, lines = findings(checkout, BACKEND_PORT=port, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], f"port of backend: BACKEND_PORT={port}")


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


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(checkout: Checkout) -> None:
    shutil.copy(ROOT / ".env.example", checkout.root)
    checkout.write("backend/.env", "LLM_MODLE=embedded\nSUPABASE_KEY=s3cret\nLLM_FANCY=1\nRAG_TOP_K=3\n")
    status, lines = findings(checkout, LLM_TOPP="0.5", LLM_MODEL="embedded")
    assert status == 0
    assert has(lines["warn"], "backend/.env: LLM_MODLE is no setting", "is LLM_MODEL meant?")
    assert has(lines["warn"], "backend/.env: LLM_FANCY is no setting", ".env.example lists every setting")
    assert has(lines["warn"], "the environment: LLM_TOPP is no setting", "is LLM_TOP_P meant?")
    assert has(lines["ok"], "4 settings; not for these apps: SUPABASE_KEY")
    assert not has(lines["warn"], "RAG_TOP_K")
    assert "s3cret" not in str(lines)


@pytest.mark.parametrize(("app", "name"), [("llm_service", "LLM_TOP_P"), ("backend", "DATABASE_POOL_SIZE")])
def test_a_bad_value_is_named_by_the_app_that_refuses_it(app: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV_FILES", "none")
    workspace = Workspace(ROOT)
    assert [finding.verdict for finding in doctor_configuration.settings(workspace)] == ["ok", "ok"]
    monkeypatch.setenv(name, "-1")
    told = {finding.subject: finding for finding in doctor_configuration.settings(workspace)}
    assert told[f"settings of {app}"].verdict == "fail"
    assert name in told[f"settings of {app}"].seen


def test_settings_that_cannot_be_imported_are_a_fault(checkout: Checkout) -> None:
    checkout.write("backend/config/settings.py", "import a_module_nobody_has\n")
    _, lines = findings(checkout, LLM_MODEL="embedded")
    assert has(lines["fail"], "settings of backend", "a_module_nobody_has")


@pytest.mark.parametrize("arguments", [["--fly"], ["everything"], ["--", "x"]])
def test_wrong_usage_has_an_exit_status_of_its_own(bare_checkout: Checkout, arguments: list[str]) -> None:
    done = bare_checkout.dev("doctor", *arguments)
    assert done.returncode == 2
    assert "usage: dev.py" in done.stdout


def test_the_help_says_what_each_exit_status_means(bare_checkout: Checkout) -> None:
    text = bare_checkout.dev("doctor", "--help").stdout
    for status in ("0    all is well", "1    something must be mended", "2    wrong usage", "130  interrupted"):
        assert status in text


def test_what_the_doctor_may_not_look_at_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Workspace) -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(doctor, "CHECKS", (("the vault", forbidden),))
    (finding,) = doctor.examine(Workspace(tmp_path))
    assert (finding.verdict, finding.subject) == ("fail", "the vault")
    assert "Permission denied" in finding.seen


def test_an_env_file_saved_as_utf_16_is_explained(checkout: Checkout) -> None:
    (checkout.root / ".env").write_text("LLM_MODEL=embedded\n", encoding="utf-16")
    _, lines = findings(checkout)
    assert any("save it as UTF-8" in line for line in lines["fail"])


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
