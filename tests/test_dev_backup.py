"""`dev.py backup` and `dev.py restore`: what they pass on."""

from __future__ import annotations

import json

import pytest

from conftest import Checkout

SHOW = "import json, os, sys; print('ARGUMENTS', json.dumps([os.path.basename(os.getcwd()), *sys.argv[1:]]))\n"


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["backup", "a b.zip"], ["save", "--"]),
        (["restore", "a b.zip"], ["restore", "--"]),
        (["restore", "--replace", "a b.zip"], ["restore", "--replace", "--"]),
    ],
)
def test_files_and_options_are_handed_to_the_backends_script(
    checkout: Checkout, arguments: list[str], passed: list[str]
) -> None:
    checkout.write("backend/scripts/backup.py", SHOW)
    done = checkout.dev(*arguments)
    assert done.returncode == 0, done.stdout
    seen = json.loads(done.stdout.split("ARGUMENTS ", 1)[1].splitlines()[0])
    assert seen == ["backend", *passed, str(checkout.root / "a b.zip")]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_the_scripts_exit_status_is_the_commands(checkout: Checkout, command: str) -> None:
    checkout.write("backend/scripts/backup.py", "import sys; sys.exit(7)\n")
    assert checkout.dev(command, "x.zip").returncode == 7


@pytest.mark.parametrize("arguments", [["backup"], ["restore"], ["backup", "x", "--replace"], ["restore", "a", "b"]])
def test_wrong_usage_is_told(bare_checkout: Checkout, arguments: list[str]) -> None:
    done = bare_checkout.dev(*arguments)
    assert done.returncode == 2
    assert "usage: dev.py" in done.stdout
