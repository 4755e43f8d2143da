"""Set-up against small apps: real environments, real pip, no downloads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import Checkout, wait_until, wait_until_dead
from small_wheels import make_wheel

MADE = ".made.json"
MADE_FOR_TESTS = ".made-for-tests.json"


def version_of(checkout: Checkout, app: str, name: str) -> str:
    """The version of a package in an app's environment, or "absent"."""
    python = checkout.venv(app) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = f"import importlib.util as u; print(__import__('{name}').VERSION if u.find_spec('{name}') else 'absent')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def slow_package(checkout: Checkout) -> None:
    """Makes the LLM service need something whose installation takes for ever."""
    setup = (
        "import os, pathlib, sys, time\n"
        "pathlib.Path(os.environ['SLOW_PID']).write_text(str(os.getpid()))\n"
        "sys.stdout.flush(); time.sleep(600)\n"
    )
    checkout.write("slow/backend.py", f"def get_requires_for_build_wheel(*_):\n    return []\n{setup}")
    checkout.write("slow/pyproject.toml", '[build-system]\nrequires=[]\nbuild-backend="backend"\nbackend-path=["."]\n')
    checkout.environment["SLOW_PID"] = str(checkout.root / "slow.pid")
    path = (checkout.root / "slow").as_uri()
    checkout.write("llm_service/requirements.txt", f"slow @ {path}\n")


def test_makes_both_environments_and_is_done_at_once_the_second_time(bare_checkout: Checkout) -> None:
    first = bare_checkout.dev("setup")
    assert first.returncode == 0, first.stdout
    assert "there is none yet" in first.stdout
    stamps = [bare_checkout.venv(app) / MADE for app in ("llm_service", "backend")]
    written = [stamp.stat().st_mtime_ns for stamp in stamps]
    second = bare_checkout.dev("setup")
    assert second.returncode == 0
    assert "installed already" in second.stdout
    assert [stamp.stat().st_mtime_ns for stamp in stamps] == written


def test_makes_only_the_environment_that_was_asked_for(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    assert (bare_checkout.venv("backend") / MADE).is_file()
    assert not bare_checkout.venv("llm_service").exists()


def test_output_that_is_no_terminal_gets_plain_lines(bare_checkout: Checkout) -> None:
    output = bare_checkout.dev("setup", "--llm-only").stdout
    assert "done in" in output
    assert "\r" not in output
    assert "\033" not in output


def test_installs_packages_models_and_what_tests_need(bare_checkout: Checkout) -> None:
    wheels = bare_checkout.root / "wheels"
    for name in ("thing", "model", "tester", "outer"):
        make_wheel(wheels, name)
    bare_checkout.environment["PIP_FIND_LINKS"] = wheels.as_uri()
    bare_checkout.write("backend/requirements.txt", "thing\n")
    bare_checkout.write("backend/constraints.txt", "thing==1.0\n")
    bare_checkout.write("backend/requirements-models.txt", "model==1.0\n")
    bare_checkout.write("backend/requirements-dev.txt", "tester==1.0\n")
    bare_checkout.write("tests/requirements.txt", "outer==1.0\n")
    done = bare_checkout.dev("setup", "--backend-only")
    assert done.returncode == 0, done.stdout
    assert version_of(bare_checkout, "backend", "thing") == "1.0"
    assert version_of(bare_checkout, "backend", "model") == "1.0"
    assert version_of(bare_checkout, "backend", "tester") == "absent"
    done = bare_checkout.dev("setup", "--backend-only", "--dev")
    assert done.returncode == 0, done.stdout
    assert version_of(bare_checkout, "backend", "tester") == "1.0"
    assert version_of(bare_checkout, "backend", "outer") == "1.0"
    assert (bare_checkout.venv("backend") / MADE_FOR_TESTS).is_file()


def test_changed_requirements_are_installed_and_changed_line_endings_are_not(bare_checkout: Checkout) -> None:
    wheels = bare_checkout.root / "wheels"
    make_wheel(wheels, "thing", "1.0")
    make_wheel(wheels, "thing", "2.0")
    bare_checkout.environment["PIP_FIND_LINKS"] = wheels.as_uri()
    requirements = bare_checkout.write("backend/requirements.txt", "thing==1.0\n")
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    requirements.write_bytes(b"thing==1.0\r\n")
    assert "installed already" in bare_checkout.dev("setup", "--backend-only").stdout
    requirements.write_text("thing==2.0\n")
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    assert version_of(bare_checkout, "backend", "thing") == "2.0"


def test_a_failed_installation_shows_the_end_of_the_log_and_what_to_do(bare_checkout: Checkout) -> None:
    bare_checkout.write("backend/requirements.txt", "a-package-nobody-has==1.0\n")
    done = bare_checkout.dev("setup", "--backend-only")
    assert done.returncode == 1
    assert "No matching distribution found for a-package-nobody-has" in done.stdout
    assert "pip config list" in done.stdout
    assert str(bare_checkout.root / ".data" / "logs" / "setup-backend.log") in done.stdout
    assert "Traceback" not in done.stdout
    assert not bare_checkout.venv("backend").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_set_up_leaves_nothing_behind(bare_checkout: Checkout, signum: signal.Signals) -> None:
    slow_package(bare_checkout)
    running = bare_checkout.start("setup", "--llm-only")
    pid_file = bare_checkout.root / "slow.pid"
    wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), "pip is at work")
    running.process.send_signal(signum)
    assert running.end() == 128 + signum, running.output
    assert "Interrupted" in running.output
    assert not bare_checkout.venv("llm_service").exists()
    wait_until_dead(int(pid_file.read_text()))
    bare_checkout.write("llm_service/requirements.txt", "# nothing\n")
    assert bare_checkout.dev("setup", "--llm-only").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL to send")
def test_a_killed_set_up_is_made_anew_and_its_pip_does_not_live_on(bare_checkout: Checkout) -> None:
    slow_package(bare_checkout)
    running = bare_checkout.start("setup", "--llm-only")
    pid_file = bare_checkout.root / "slow.pid"
    wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), "pip is at work")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    pips = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    running.process.kill()
    running.end()
    assert bare_checkout.venv("llm_service").exists()
    wait_until_dead(*pips)
    bare_checkout.write("llm_service/requirements.txt", "# nothing\n")
    done = bare_checkout.dev("setup", "--llm-only")
    assert done.returncode == 0, done.stdout
    assert "left half-made" in done.stdout
    with suppress(ProcessLookupError):  # the build that pip had started knows nothing of its parent's end
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_an_environment_without_a_stamp_or_from_another_folder_is_made_anew(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    stamp = bare_checkout.venv("backend") / MADE
    content = json.loads(stamp.read_text())
    stamp.write_text(json.dumps({**content, "made_in": "/elsewhere"}))
    done = bare_checkout.dev("setup", "--backend-only")
    assert "made in another folder" in done.stdout
    stamp.unlink()
    marker = bare_checkout.venv("backend") / "left-over.txt"
    marker.touch()
    done = bare_checkout.dev("setup", "--backend-only")
    assert "left half-made" in done.stdout
    assert not marker.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows copies the interpreter into the environment")
def test_an_environment_whose_python_has_gone_is_made_anew(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    python = bare_checkout.venv("backend") / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    done = bare_checkout.dev("setup", "--backend-only")
    assert done.returncode == 0
    assert "its Python is gone" in done.stdout


def test_fresh_makes_a_complete_environment_anew(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    marker = bare_checkout.venv("backend") / "left-over.txt"
    marker.touch()
    assert bare_checkout.dev("setup", "--backend-only", "--fresh").returncode == 0
    assert not marker.exists()


def test_a_second_set_up_waits_for_the_first(bare_checkout: Checkout) -> None:
    slow_package(bare_checkout)
    first = bare_checkout.start("setup", "--llm-only")
    pid_file = bare_checkout.root / "slow.pid"
    wait_until(pid_file.exists, "the first is at work")
    second = bare_checkout.start("setup", "--llm-only")
    second.wait_for("Another dev.py is busy with set-up")
    bare_checkout.write("llm_service/requirements.txt", "# nothing\n")
    first.interrupt()
    first.end()
    assert second.end(60) == 0, second.output


def test_a_python_that_cannot_run_the_apps_is_refused_with_what_to_do(bare_checkout: Checkout) -> None:
    done = bare_checkout.dev("setup", "--python", str(bare_checkout.root / "no-such-python"))
    assert done.returncode == 1
    assert "Python 3.11 to 3.14" in done.stdout
    assert not bare_checkout.venv("backend").exists()


def test_the_chosen_python_is_used(bare_checkout: Checkout) -> None:
    done = bare_checkout.dev("setup", "--backend-only", "--python", sys.executable)
    assert done.returncode == 0, done.stdout


def test_an_incomplete_checkout_is_named(bare_checkout: Checkout) -> None:
    shutil.rmtree(bare_checkout.root / "backend")
    done = bare_checkout.dev("setup")
    assert done.returncode == 1
    assert "requirements.txt is missing" in done.stdout


def test_the_developers_pip_user_setting_does_no_harm(bare_checkout: Checkout) -> None:
    wheels = bare_checkout.root / "wheels"
    make_wheel(wheels, "thing")
    bare_checkout.write("backend/requirements.txt", "thing\n")
    elsewhere = bare_checkout.root / "elsewhere"
    done = bare_checkout.dev(
        "setup", "--backend-only", PIP_USER="1", PIP_TARGET=str(elsewhere), PIP_FIND_LINKS=wheels.as_uri()
    )
    assert done.returncode == 0, done.stdout
    assert version_of(bare_checkout, "backend", "thing") == "1.0"
    assert not elsewhere.exists()
