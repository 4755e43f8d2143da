"""Set-up against small apps: real environments, real pip, no downloads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from commands.small_wheels import make_wheel
from conftest import Checkout, wait_until, wait_until_dead
from devtools.console import Console
from devtools.layout import Workspace
from devtools.setup.environments import why_unmade
from devtools.setup.locks import only_one
from devtools.stopping import Stop

MADE = ".made.json"


def version_of(checkout: Checkout, app: str, name: str) -> str:
    """The version of a package in an app's environment, or "absent"."""
    python = checkout.venv(app) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = f"import importlib.util as u; print(__import__('{name}').VERSION if u.find_spec('{name}') else 'absent')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def slow_package(checkout: Checkout) -> Path:
    """Makes the backend need something whose installation never ends; returns the file with its process's id."""
    setup = (
        "import os, pathlib, sys, time\n"
        "pathlib.Path(os.environ['SLOW_PID']).write_text(str(os.getpid()))\n"
        "sys.stdout.flush(); time.sleep(600)\n"
    )
    checkout.write("slow/backend.py", f"def get_requires_for_build_wheel(*_):\n    return []\n{setup}")
    checkout.write("slow/pyproject.toml", '[build-system]\nrequires=[]\nbuild-backend="backend"\nbackend-path=["."]\n')
    note = checkout.root / "slow.pid"
    checkout.environment["SLOW_PID"] = str(note)
    checkout.write("backend/requirements.txt", f"slow @ {(checkout.root / 'slow').as_uri()}\n")
    return note


def test_makes_both_environments_and_is_done_at_once_the_second_time(checkout: Checkout) -> None:
    first = checkout.set_up
    assert first is not None
    assert "there is none yet" in first.stdout
    # What is no terminal gets plain lines.
    assert "done in" in first.stdout
    assert "\r" not in first.stdout
    assert "\033" not in first.stdout
    stamps = [checkout.venv(app) / MADE for app in ("llm_service", "backend")]
    written = [stamp.stat().st_mtime_ns for stamp in stamps]
    second = checkout.dev("setup")
    assert second.returncode == 0
    assert "installed already" in second.stdout
    assert [stamp.stat().st_mtime_ns for stamp in stamps] == written


def test_installs_packages_models_and_what_tests_need_and_only_where_asked(with_backend: Checkout) -> None:
    wheels = with_backend.root / "wheels"
    for name in ("thing", "model", "tester", "outer"):
        make_wheel(wheels, name)
    # The developer's own pip settings do no harm.
    elsewhere = with_backend.root / "elsewhere"
    with_backend.environment |= {"PIP_FIND_LINKS": wheels.as_uri(), "PIP_USER": "1", "PIP_TARGET": str(elsewhere)}
    with_backend.write("backend/requirements.txt", "thing\n")
    with_backend.write("backend/constraints.txt", "thing==1.0\n")
    with_backend.write("backend/requirements-models.txt", "model==1.0\n")
    with_backend.write("backend/requirements-dev.txt", "tester==1.0\n")
    with_backend.write("tests/requirements.txt", "outer==1.0\n")
    done = with_backend.dev("setup", "--backend-only")
    assert done.returncode == 0, done.stdout
    wanted = {"thing": "1.0", "model": "1.0", "tester": "absent"}
    assert {name: version_of(with_backend, "backend", name) for name in wanted} == wanted
    done = with_backend.dev("setup", "--backend-only", "--dev")
    assert done.returncode == 0, done.stdout
    assert version_of(with_backend, "backend", "tester") == version_of(with_backend, "backend", "outer") == "1.0"
    assert not with_backend.venv("llm_service").exists()
    assert not elsewhere.exists()


def test_changed_requirements_are_installed_and_changed_line_endings_are_not(with_backend: Checkout) -> None:
    wheels = with_backend.root / "wheels"
    make_wheel(wheels, "thing", "1.0")
    make_wheel(wheels, "thing", "2.0")
    with_backend.environment["PIP_FIND_LINKS"] = wheels.as_uri()
    requirements = with_backend.write("backend/requirements.txt", "thing==1.0\n")
    assert with_backend.dev("setup", "--backend-only").returncode == 0
    requirements.write_bytes(b"thing==1.0\r\n")
    assert "installed already" in with_backend.dev("setup", "--backend-only").stdout
    requirements.write_text("thing==2.0\n")
    make_wheel(wheels, "tester")
    with_backend.write("backend/requirements-dev.txt", "tester==1.0\n")
    assert with_backend.dev("setup", "--backend-only", "--dev").returncode == 0
    assert version_of(with_backend, "backend", "thing") == "2.0"
    assert version_of(with_backend, "backend", "tester") == "1.0"
    assert "installed already" in with_backend.dev("setup", "--backend-only", "--dev").stdout


def test_a_failed_installation_shows_the_end_of_the_log_and_what_to_do(with_backend: Checkout) -> None:
    with_backend.write("backend/requirements.txt", "a-package-nobody-has==1.0\n")
    done = with_backend.dev("setup", "--backend-only")
    assert done.returncode == 1
    assert "No matching distribution found for a-package-nobody-has" in done.stdout
    assert "pip config list" in done.stdout
    assert str(with_backend.root / ".data" / "logs" / "setup-backend.log") in done.stdout
    assert "Traceback" not in done.stdout
    assert not with_backend.venv("backend").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_an_interrupted_set_up_leaves_nothing_behind(with_backend: Checkout) -> None:
    note = slow_package(with_backend)
    running = with_backend.start("setup", "--backend-only")
    wait_until(lambda: note.exists() and bool(note.read_text()), "pip is at work")
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 128 + signal.SIGTERM, running.output
    assert "Interrupted" in running.output
    assert not with_backend.venv("backend").exists()
    wait_until_dead(int(note.read_text()))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL to send")
def test_a_killed_set_up_is_made_anew_and_its_pip_does_not_live_on(with_backend: Checkout) -> None:
    note = slow_package(with_backend)
    running = with_backend.start("setup", "--backend-only")
    wait_until(lambda: note.exists() and bool(note.read_text()), "pip is at work")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    pips = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    running.process.kill()
    running.end()
    assert with_backend.venv("backend").exists()
    wait_until_dead(*pips)
    with_backend.write("backend/requirements.txt", "# nothing\n")
    done = with_backend.dev("setup", "--backend-only")
    assert done.returncode == 0, done.stdout
    assert "left half-made" in done.stdout
    with suppress(ProcessLookupError):  # the build that pip had started does not learn of its parent's end
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_an_environment_that_cannot_be_used_says_why(with_backend: Checkout) -> None:
    app = Workspace(with_backend.root).backend
    assert why_unmade(app) == ""
    stamp = app.venv / MADE
    kept = stamp.read_text()
    stamp.write_text(json.dumps({**json.loads(kept), "made_in": "/elsewhere"}))
    assert why_unmade(app) == "it was made in another folder"
    stamp.write_text(json.dumps({**json.loads(kept), "python": [3, 1]}))
    assert why_unmade(app) == "its Python is gone or was replaced"
    stamp.unlink()
    assert why_unmade(app) == "it was left half-made"
    stamp.write_text(kept)
    app.python.unlink()
    assert why_unmade(app) == "its Python is gone or was replaced"


def test_fresh_makes_a_complete_environment_anew(with_backend: Checkout) -> None:
    marker = with_backend.venv("backend") / "left-over.txt"
    marker.touch()
    assert with_backend.dev("setup", "--backend-only", "--fresh").returncode == 0
    assert not marker.exists()


def test_a_second_set_up_waits_for_the_first(with_backend: Checkout) -> None:
    kept = with_backend.write("backend/requirements.txt", "# changed\n")
    lock = with_backend.root / ".data" / "setup.lock"
    with only_one(lock, "set-up", Console(), Stop()):
        second = with_backend.start("setup", "--backend-only")
        second.wait_for("Another dev.py is busy with set-up")
        kept.write_text("# nothing is needed\n")
    assert second.end(60) == 0, second.output
    assert "making" not in second.output


def test_a_python_that_cannot_run_the_apps_is_refused_with_what_to_do(bare_checkout: Checkout) -> None:
    done = bare_checkout.dev("setup", "--python", str(bare_checkout.root / "no-such-python"))
    assert done.returncode == 1
    assert "Python 3.11 to 3.14" in done.stdout
    assert not bare_checkout.venv("backend").exists()


def test_an_incomplete_checkout_is_named(bare_checkout: Checkout) -> None:
    shutil.rmtree(bare_checkout.root / "backend")
    done = bare_checkout.dev("setup")
    assert done.returncode == 1
    assert "requirements.txt is missing" in done.stdout
