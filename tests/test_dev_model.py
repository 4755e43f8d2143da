"""`dev.py model`: what it passes on, and what it says without an environment."""

from __future__ import annotations

import json
import sys

import pytest

from conftest import Checkout, wait_until

SHOW = "import json, os, sys; print('ARGUMENTS', json.dumps([os.path.basename(os.getcwd()), *sys.argv[1:]]))\n"


def passed_on(checkout: Checkout, *arguments: str) -> list[str]:
    checkout.write("llm_service/scripts/models.py", SHOW)
    done = checkout.dev("model", *arguments)
    assert done.returncode == 0, done.stdout
    seen: list[str] = json.loads(done.stdout.split("ARGUMENTS ", 1)[1].splitlines()[0])
    return seen


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["list"], ["list"]),
        (["list", "--json"], ["list", "--json"]),
        (["pull", "a/b", "--update"], ["pull", "--update", "--", "a/b"]),
        (["pull", "a/b:c.gguf@v1"], ["pull", "--", "a/b:c.gguf@v1"]),
        (["info", "--json", "embedded"], ["info", "--json", "--", "embedded"]),
    ],
)
def test_commands_are_passed_on_to_the_services_script(
    checkout: Checkout, arguments: list[str], seen: list[str]
) -> None:
    assert passed_on(checkout, *arguments) == ["llm_service", *seen]


def test_a_relative_path_means_the_file_here(checkout: Checkout) -> None:
    model = checkout.write("model.gguf", "")
    assert passed_on(checkout, "info", "model.gguf")[-1] == str(model)


def test_removing_names_the_hubs_own_command(bare_checkout: Checkout) -> None:
    done = bare_checkout.dev("model", "remove", "a/b")
    assert done.returncode == 2
    assert "cache rm model/OWNER/NAME" in done.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["pull"], ["remove"], ["list", "--update"], ["pull", "a", "--json"]]
)
def test_wrong_usage_is_told(bare_checkout: Checkout, arguments: list[str]) -> None:
    done = bare_checkout.dev("model", *arguments)
    assert done.returncode == 2
    assert "usage: dev.py" in done.stdout


def test_without_the_services_environment_the_way_there_is_said(bare_checkout: Checkout) -> None:
    done = bare_checkout.dev("model", "list")
    assert done.returncode == 1
    assert "The environment of llm_service is not usable: there is none yet" in done.stdout
    assert "python dev.py setup" in done.stdout


def test_the_scripts_exit_status_is_the_commands(checkout: Checkout) -> None:
    checkout.write("llm_service/scripts/models.py", "import sys; sys.exit(7)\n")
    assert checkout.dev("model", "list").returncode == 7


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_an_interruption_reaches_the_script_and_its_last_words_are_heard(checkout: Checkout) -> None:
    checkout.write(
        "llm_service/scripts/models.py",
        "import sys, time\n"
        "print('downloading', flush=True)\n"
        "try:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('run the same command to resume', flush=True)\n    sys.exit(130)\n",
    )
    running = checkout.start("model", "pull", "a/b")
    running.wait_for("downloading")
    running.interrupt()
    wait_until(lambda: running.process.poll() is not None, "it ends")
    assert running.process.returncode == 130
    assert "run the same command to resume" in running.output
