"""The doctor as a command, and on the configuration: what it finds when something is broken on purpose."""

from __future__ import annotations

import itertools
import shutil

import pytest
from dotenv import dotenv_values

from conftest import NOWHERE, ROOT, Checkout
from devtools import doctor, dotenv
from devtools.doctor.configuration import env_files, settings
from devtools.doctor.findings import Finding
from devtools.layout import Workspace
from free_ports import free_port


def lines_of(output: str, verdict: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(f"{verdict:<4}  ")]


def test_a_healthy_machine_has_no_fault_but_missing_packages_and_each_fault_has_its_remedy(checkout: Checkout) -> None:
    ports = {"LLM_SERVICE_PORT": str(free_port()), "BACKEND_PORT": str(free_port())}
    checkout.write("llm_service/scripts/models.py", "print('{\"configured\": {}}')\n")
    done = checkout.really_dev("doctor", NO_PROXY="*", HF_ENDPOINT=NOWHERE, **ports)
    # The small environments hold no PyTorch.
    assert len(lines_of(done.stdout, "fail")) == 1, done.stdout
    assert "fail  PyTorch: cannot be imported" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("1 fail")
    assert done.returncode == 1
    subjects = {line[6:].split(":")[0] for line in lines_of(done.stdout, "ok") + lines_of(done.stdout, "warn")}
    assert {"Python", "disk", "environment of backend", ".env", "database"} <= subjects
    for line, after in itertools.pairwise(done.stdout.splitlines()):
        assert after.startswith("      -> ") is line.startswith(("warn", "fail"))


def test_the_help_says_what_each_exit_status_means(bare_checkout: Checkout) -> None:
    text = bare_checkout.dev("doctor", "--help").stdout
    for status in ("0    ", "1    ", "2    wrong usage", "130  interrupted"):
        assert f"\n  {status}" in text


def test_what_the_doctor_may_not_look_at_is_a_finding(bare_checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Workspace) -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(doctor, "CHECKS", (("the vault", forbidden),))
    (finding,) = bare_checkout.look(doctor.examine)["fail"]
    assert finding.startswith("the vault: ")
    assert "Permission denied" in finding


def test_lines_of_env_files_that_cannot_be_understood_are_named_but_not_shown(bare_checkout: Checkout) -> None:
    lines = "LLM_TOP_P=0.9\nmy secret password\nLLM_MODEL='never closed\nBACKEND_API_KEY='a'secret\n"
    bare_checkout.write("backend/.env", lines)
    (bare_checkout.root / ".env").write_text("LLM_MODEL=embedded\n", encoding="utf-16")
    text = "\n".join(bare_checkout.look(env_files)["fail"])
    assert "line 2 is not NAME=value" in text
    assert "line 3 LLM_MODEL: the quotation mark is never closed" in text
    assert "line 4 BACKEND_API_KEY: the quotation mark is never closed, or something follows the closing one" in text
    assert "save it as UTF-8" in text
    assert "secret" not in text


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(bare_checkout: Checkout) -> None:
    shutil.copy(ROOT / ".env.example", bare_checkout.root)
    bare_checkout.write("backend/.env", "LLM_MODLE=embedded\nSUPABASE_KEY=s3cret\nLLM_FANCY=1\nRAG_TOP_K=3\n")
    found = bare_checkout.look(env_files, LLM_TOPP="0.5", LLM_MODEL="embedded")
    assert found["fail"] == []
    assert sorted(found["warn"]) == [
        "backend/.env: LLM_FANCY is not a setting, so it has no effect -> .env.example lists every setting",
        "backend/.env: LLM_MODLE is not a setting, so it has no effect -> is LLM_MODEL meant?",
        "the environment: LLM_TOPP is not a setting, so it has no effect -> is LLM_TOP_P meant?",
    ]
    assert "4 settings" in found["ok"][0]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("app", "name", "value"),
    [
        ("llm_service", "LLM_TOP_P", "-1"),
        ("backend", "DATABASE_POOL_SIZE", "-1"),
        # Open to other machines, without a key.
        ("llm_service", "LLM_SERVICE_HOST", "0.0.0.0"),
        ("backend", "BACKEND_HOST", "0.0.0.0"),
    ],
)
def test_a_bad_value_is_named_by_the_app_that_refuses_it(app: str, name: str, value: str) -> None:
    here = Checkout(ROOT)
    assert len(here.look(settings, ENV_FILES="none")["ok"]) == 2
    found = here.look(settings, ENV_FILES="none", **{name: value})
    (fault,) = [line for line in found["fail"] if line.startswith(f"settings of {app}: ")]
    assert name in fault


def test_settings_that_cannot_be_imported_are_a_fault(checkout: Checkout) -> None:
    checkout.write("backend/config/settings.py", "import a_module_nobody_has\n")
    assert "a_module_nobody_has" in checkout.look(settings)["fail"][0]


def test_env_values_are_read_like_the_apps_read_them(bare_checkout: Checkout) -> None:
    path = bare_checkout.root / ".env"
    path.write_text(
        "# comment\n\nexport A=1\nb = two words  # comment\nC='single # kept'  # not\nD=\"double\"\nE=\nF=a=b#c\n"
        'G=  # later\nH=#1\nI="it\'s \\"so\\""\n',
        encoding="utf-8-sig",
    )
    assert dotenv.parse(path) == {
        "A": "1", "B": "two words", "C": "single # kept", "D": "double", "E": "", "F": "a=b#c", "G": "", "H": "#1",
        "I": 'it\'s "so"',
    }  # fmt: skip
    assert dotenv.parse(path) == {name.upper(): value for name, value in dotenv_values(path).items()}


def test_later_env_files_and_the_environment_win_and_files_can_be_switched_off(
    bare_checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENV_FILES", raising=False)
    workspace = Workspace(bare_checkout.root)
    for name, text in {".env": "A=1\nB=1\nC=1", "backend/.env": "B=2\nC=2", "llm_service/.env": "C=3"}.items():
        bare_checkout.write(name, text)
    assert dotenv.configuration(workspace, workspace.llm_service, {}) == {"A": "1", "B": "2", "C": "3"}
    assert dotenv.configuration(workspace, workspace.backend, {"a": "9"}) == {"A": "9", "B": "2", "C": "2"}
    monkeypatch.setenv("ENV_FILES", "none")
    assert dotenv.files_for(workspace, workspace.backend) == []
    monkeypatch.setenv("ENV_FILES", str(bare_checkout.root / ".env"))
    assert dotenv.files_for(workspace, workspace.backend) == [bare_checkout.root / ".env"]
