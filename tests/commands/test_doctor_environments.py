"""The doctor on Python, the machine and the environments, each broken on purpose."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands.small_wheels import make_wheel
from conftest import Checkout, make_checkout
from devtools.doctor import machine
from devtools.doctor.environments import environments, graphics, packages
from devtools.layout import Workspace
from devtools.setup import interpreters
from devtools.setup.environments import GIGABYTE


def test_a_machine_without_a_python_for_the_apps_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3 9 1 64 /usr/bin/python3.9\n")
    old.chmod(0o755)
    monkeypatch.setattr(interpreters, "candidates", lambda: [[str(old)]])
    finding = machine.python()
    assert finding.verdict == "fail"
    assert "found only 3.9.1" in finding.seen
    assert "--python PATH" in finding.remedy


@pytest.mark.parametrize(("free_gb", "verdict"), [(0.5, "fail"), (5.0, "fail"), (7.0, "warn"), (40.0, "ok")])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, verdict: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_gb * GIGABYTE))
    # Neither environment is made, so both still need their place.
    finding = machine.disk(Workspace(tmp_path))
    assert finding.verdict == verdict
    assert f"{free_gb:.1f} GB free" in finding.seen or f"{free_gb:.0f} GB free" in finding.seen


def test_missing_outdated_and_half_made_environments_are_reported_once(with_backend: Checkout) -> None:
    with_backend.write("backend/requirements.txt", "# changed\n")
    assert [line.partition(" -> ")[0] for line in with_backend.look(environments)["warn"]] == [
        "environment of llm_service: not usable: there is none yet",
        "environment of backend: its requirements have changed",
    ]
    (with_backend.venv("backend") / ".made.json").unlink()
    assert "it was left half-made" in with_backend.look(environments)["warn"][1]
    assert not any(with_backend.look(packages).values())


@pytest.fixture(scope="module")
def with_a_package(tmp_path_factory: pytest.TempPathFactory, _set_up_once: Checkout) -> Checkout:
    """A checkout whose backend has one package installed."""
    checkout = make_checkout(tmp_path_factory.mktemp("package") / "checkout")
    checkout.give_environment(_set_up_once, "backend")
    make_wheel(checkout.root / "wheels", "sturdy")
    checkout.environment["PIP_FIND_LINKS"] = (checkout.root / "wheels").as_uri()
    checkout.write("backend/requirements.txt", "sturdy==1.0\n")
    done = checkout.really_dev("setup", "--backend-only")
    assert done.returncode == 0, done.stdout
    return checkout


@pytest.fixture
def package(with_a_package: Checkout) -> Iterator[Path]:
    """The folder in which the package is installed; what a test breaks in it is whole again afterwards."""
    (installed,) = with_a_package.venv("backend").glob("**/sturdy.py")
    folder, kept = installed.parent, with_a_package.root / "kept"
    kept.mkdir()
    shutil.copy(installed, kept)
    shutil.copytree(folder / "sturdy-1.0.dist-info", kept / "sturdy-1.0.dist-info")
    yield folder
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    shutil.rmtree(kept)


def break_import(folder: Path) -> None:
    (folder / "sturdy.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")


def break_process(folder: Path) -> None:
    (folder / "sturdy.py").write_text("import os\nos._exit(11)\n")


def remove(folder: Path) -> None:
    shutil.rmtree(folder / "sturdy-1.0.dist-info")


def downgrade(folder: Path) -> None:
    metadata = folder / "sturdy-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 0.9"))


def test_whole_packages_are_well(with_a_package: Checkout) -> None:
    found = with_a_package.look(packages)
    assert found["ok"] == ["packages of backend: all 1 installed as pinned, and importable -> "]


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (break_import, "`import sturdy` fails: ImportError: libgomp.so.1 is missing"),
        (break_process, "importing it ends Python (exit status 11)"),
        (remove, "is not installed"),
        (downgrade, "is 0.9, 1.0 is pinned"),
    ],
)
def test_a_broken_package_is_named(
    with_a_package: Checkout, package: Path, damage: Callable[[Path], None], seen: str
) -> None:
    damage(package)
    found = with_a_package.look(packages)
    assert found["fail"] == [f"packages of backend: sturdy: {seen} -> dev.py setup --fresh"]


@pytest.mark.parametrize(
    ("torch", "verdict", "seen"),
    [
        ("None False", "ok", "2.13.0, for the processor"),
        ("'13.0' True", "ok", "a GPU it can use"),
        ("'13.0' False", "warn", "is a build for CUDA, and there is no GPU"),
        ("", "fail", "cannot be imported"),
    ],
)
def test_the_build_of_pytorch_is_judged(checkout: Checkout, torch: str, verdict: str, seen: str) -> None:
    (module,) = (folder / "torch.py" for folder in checkout.venv("llm_service").glob("lib/**/site-packages"))
    built, _, usable = torch.partition(" ")
    module.write_text(
        f"class version: cuda = {built}\nclass cuda: is_available = staticmethod(lambda: {usable})\n"
        "__version__ = '2.13.0'\n"
    )
    try:
        found = checkout.look(graphics, PATH=str(Path(sys.executable).parent))
    finally:
        module.unlink()
    assert seen in found[verdict][0]
