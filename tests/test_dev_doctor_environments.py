"""The doctor on Python, the machine and the environments, each broken on purpose."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import Checkout
from devtools import doctor_machine, interpreters
from devtools.environments import GIGABYTE
from devtools.layout import Workspace
from doctor_runs import examine, findings, has, install_torch
from small_wheels import make_wheel


def test_a_machine_without_a_python_for_the_apps_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3 9 1 64 /usr/bin/python3.9\n")
    old.chmod(0o755)
    monkeypatch.setattr(interpreters, "candidates", lambda: [[str(old)]])
    finding = doctor_machine.python()
    assert finding.verdict == "fail"
    assert "found only 3.9.1" in finding.seen
    assert "--python PATH" in finding.mend


@pytest.mark.parametrize(("free_gb", "verdict"), [(0.5, "fail"), (5.0, "fail"), (7.0, "warn"), (40.0, "ok")])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, verdict: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_gb * GIGABYTE))
    # Nothing is made yet, so both environments still need their place.
    finding = doctor_machine.disk(Workspace(tmp_path))
    assert (finding.verdict, finding.subject) == (verdict, "disk")
    assert f"{free_gb:.1f} GB free" in finding.seen or f"{free_gb:.0f} GB free" in finding.seen


@pytest.mark.parametrize(("total_gb", "verdict"), [(1.5, "fail"), (4.0, "warn"), (16.0, "ok"), (None, "warn")])
def test_too_little_memory_is_named(monkeypatch: pytest.MonkeyPatch, total_gb: float | None, verdict: str) -> None:
    monkeypatch.setattr(doctor_machine, "total_memory_gb", lambda: total_gb)
    assert doctor_machine.memory().verdict == verdict


def test_a_processor_without_avx2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "_cpu_features", lambda: {"sse4_2"})
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    finding = doctor_machine.processor()
    assert (finding.verdict, "without AVX2" in finding.seen) == ("warn", True)


def test_memory_and_processor_are_found_out_on_this_machine() -> None:
    total, available = doctor_machine.total_memory_gb(), doctor_machine.available_memory_gb()
    assert total is not None
    assert total > 0.1
    assert available is None or available > 0
    assert "cores" in doctor_machine.processor().seen


def test_missing_and_outdated_environments_are_told(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    bare_checkout.write("backend/requirements.txt", "# changed\n")
    _, lines = findings(bare_checkout)
    assert has(lines["warn"], "environment of llm_service: not usable: there is none yet")
    assert has(lines["warn"], "environment of backend: its requirements have changed")


@pytest.fixture
def with_a_package(bare_checkout: Checkout) -> tuple[Checkout, Path]:
    """A checkout whose backend has one package, and the folder it is installed in."""
    make_wheel(bare_checkout.root / "wheels", "sturdy")
    bare_checkout.environment["PIP_FIND_LINKS"] = (bare_checkout.root / "wheels").as_uri()
    bare_checkout.write("backend/requirements.txt", "sturdy==1.0\n")
    done = bare_checkout.dev("setup", "--backend-only")
    assert done.returncode == 0, done.stdout
    (installed,) = bare_checkout.venv("backend").glob("**/sturdy.py")
    return bare_checkout, installed.parent


def break_import(folder: Path) -> None:
    (folder / "sturdy.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")


def break_process(folder: Path) -> None:
    (folder / "sturdy.py").write_text("import os\nos._exit(11)\n")


def remove(folder: Path) -> None:
    shutil.rmtree(folder / "sturdy-1.0.dist-info")


def downgrade(folder: Path) -> None:
    metadata = folder / "sturdy-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 0.9"))


def test_whole_packages_are_well(with_a_package: tuple[Checkout, Path]) -> None:
    checkout, _ = with_a_package
    _, lines = examine(checkout, LLM_MODEL="embedded")
    assert has(lines["ok"], "packages of backend: all 1 installed as pinned, and importable")


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (break_import, "`import sturdy` fails: ImportError: libgomp.so.1 is missing"),
        (break_process, "importing it ends Python (exit status 11)"),
        (remove, "is not installed"),
        (downgrade, "is 0.9, 1.0 is pinned"),
    ],
)
def test_a_broken_package_is_named(with_a_package: tuple[Checkout, Path], damage: object, seen: str) -> None:
    checkout, folder = with_a_package
    assert callable(damage)
    damage(folder)
    status, lines = examine(checkout, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], f"packages of backend: sturdy: {seen}", "dev.py setup --fresh")


@pytest.mark.parametrize(
    ("built_for", "usable", "seen"),
    [("None", False, "for the processor"), ("'13.0'", True, "a GPU it can use"), ("'13.0'", False, "build for CUDA")],
)
def test_the_build_of_pytorch_is_judged(checkout: Checkout, built_for: str, usable: bool, seen: str) -> None:
    install_torch(checkout, built_for, usable=usable)
    status, lines = examine(checkout, LLM_MODEL="embedded", PATH=str(Path(sys.executable).parent))
    assert status == 0
    assert has(lines["ok"] + lines["warn"], "PyTorch: 2.13.0", seen)


def test_a_pytorch_that_cannot_be_imported_is_a_fault(checkout: Checkout) -> None:
    for folder in checkout.venv("llm_service").glob("**/site-packages"):
        (folder / "torch.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    status, lines = examine(checkout, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "PyTorch: cannot be imported")


def test_a_checkout_with_a_broken_environment_names_it_once(bare_checkout: Checkout) -> None:
    assert bare_checkout.dev("setup", "--backend-only").returncode == 0
    (bare_checkout.venv("backend") / ".made.json").unlink()
    _, lines = findings(bare_checkout)
    about = [line for line in lines["warn"] + lines["fail"] if re.match("(environment|packages) of backend", line)]
    assert len(about) == 1
    assert "it was left half-made" in about[0]
