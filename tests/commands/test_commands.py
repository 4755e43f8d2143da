"""`dev.py` test, check, bench, scripts of the apps, and its command line, with real processes in small checkouts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, Checkout, free_port, wait_until, wait_until_dead
from devtools import cli
from devtools.commands import testing
from devtools.layout import Workspace
from devtools.setup import interpreters, steps

SHOW_ARGUMENTS = "import json, os, sys; print('ARGUMENTS', json.dumps([os.getcwd(), *sys.argv[1:]]))\n"
COMMANDS = ("up", "setup", "test", "check", "bench", "doctor", "ingest", "backup", "restore", "model")


def lend_pytest(checkout: Checkout) -> None:
    """Lets the small environments import what this interpreter has installed, pytest among it."""
    mine = Path(pytest.__file__).resolve().parent.parent
    for app in ("llm_service", "backend"):
        for folder in checkout.venv(app).glob("**/site-packages"):
            (folder / "lent.pth").write_text(f"{mine}\n")


def arguments_seen(output: str) -> list[str]:
    match = re.search(r"^ARGUMENTS (.*)$", output, re.MULTILINE)
    assert match, output
    seen: list[str] = json.loads(match.group(1))
    return seen


# --- the command line ---------------------------------------------------------------------------


def test_without_a_command_or_with_a_wrong_one_usage_is_shown(bare_checkout: Checkout) -> None:
    wrong = [[], ["fly"], ["up", "--fly"], ["up", "--llm-only", "--backend-only"], ["up", "--", "x"]]
    wrong += [["backup"], ["restore"], ["backup", "x", "--replace"], ["restore", "a", "b"]]
    wrong += [
        ["test", "--all", "--since", "HEAD"],
        ["doctor", "--fly"],
        ["doctor", "everything"],
        ["doctor", "--", "x"],
    ]
    wrong += [
        ["model", *rest] for rest in ([], ["fly"], ["pull"], ["remove"], ["list", "--update"], ["pull", "a", "--json"])
    ]
    for arguments in wrong:
        done = bare_checkout.dev(*arguments)
        assert done.returncode == 2
        assert "usage: dev.py" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bare_checkout: Checkout, command: str) -> None:
    done = bare_checkout.dev(command, "--help")
    assert done.returncode == 0
    assert f"dev.py {command}" in done.stdout
    assert re.search(rf"^    {command} ", bare_checkout.dev("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("option", "values", "seen"),
    [
        ("--llm-port", ("0", "65536", "-1", "http", "80.5", ""), "is not a port"),
        ("--ready-timeout", ("-1", "nan", "inf", "soon"), "is not a number of seconds"),
    ],
)
def test_ports_and_times_that_are_none_are_refused(
    option: str, values: tuple[str, ...], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values:
        with pytest.raises(SystemExit):
            cli.parse(["up", f"{option}={value}"])
        assert seen in capsys.readouterr().err


def test_what_follows_two_dashes_is_kept_for_the_tool() -> None:
    options = cli.parse(["test", "--only", "backend", "--", "-k", "name", "--", "-x"])
    assert options.only == ["backend"]
    assert options.rest == ["-k", "name", "--", "-x"]


def test_an_interpreter_that_is_too_old_gets_a_sentence() -> None:
    code = (
        "import sys, types, runpy\n"
        "sys.version_info = types.SimpleNamespace\n"
        "class Old(tuple): pass\n"
        "sys.version_info = Old((3, 9, 0))\n"
        "runpy.run_path('dev.py', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs Python 3.10 or newer (this is 3.9); the apps themselves need 3.11 to 3.14" in done.stderr
    assert "Traceback" not in done.stderr


def test_dev_py_uses_no_syntax_that_old_interpreters_cannot_read() -> None:
    source = (ROOT / "dev.py").read_text(encoding="utf-8")
    compile(source, "dev.py", "exec", flags=0, dont_inherit=True)
    assert "from __future__" not in source
    assert not re.search(r"\bf['\"]|:=|\bmatch \w+:", source)


@pytest.mark.parametrize(
    ("version", "bits", "suits"),
    [
        ((3, 10, 9), 64, False),
        ((3, 11, 0), 64, True),
        ((3, 14, 2), 64, True),
        ((3, 15, 0), 64, False),
        ((3, 12, 1), 32, False),
    ],
)
def test_which_interpreters_suit_the_apps(version: tuple[int, int, int], bits: int, suits: bool) -> None:
    assert interpreters.Interpreter("python", version, bits).suits_the_apps is suits


def test_what_is_no_interpreter_is_passed_over(tmp_path: Path) -> None:
    # Like the Microsoft Store's stand-in: it starts, says something, and is no Python.
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho Python was not found\nexit 0\n")
    fake.chmod(0o755)
    assert interpreters.ask([str(fake)]) is None
    assert interpreters.ask([str(tmp_path / "missing")]) is None


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("NameResolutionError: Temporary failure in name resolution", "Check the network"),
        ("The virtual environment was not created successfully because ensurepip is not available.", "python3-venv"),
        ("SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "PIP_CERT"),
        ("ERROR: No matching distribution found for torch==2.13.0", "pip config list"),
        ("[WinError 5] Access is denied: 'torch_cpu.dll'", "Close programs"),
        ("something nobody has seen", "doctor"),
    ],
)
def test_a_failed_step_is_explained_by_its_output(output: str, remedy: str) -> None:
    assert remedy in steps.advice(output)


# --- test ---------------------------------------------------------------------------------------


@pytest.fixture
def tested(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout with a test in each suite. One worker: starting more takes longer than these tests."""
    monkeypatch.setattr(testing, "_workers", lambda _: [])
    # Other plugins of this environment take seconds to load.
    quick = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist.plugin"}
    monkeypatch.setattr(checkout, "environment", checkout.environment | quick)
    lend_pytest(checkout)
    checkout.write("llm_service/tests/test_a.py", "def test_passes(): pass\n")
    checkout.write("backend/tests/test_b.py", "def test_passes(): pass\n")
    checkout.write("tests/test_c.py", "def test_passes(): pass\n")
    return checkout


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]


def skipping(reason: str) -> str:
    return f"import pytest\ndef test_s(): pytest.skip({reason!r})\n"


def test_all_suites_run_and_the_last_line_sums_them_up(tested: Checkout) -> None:
    tested.write("tests/test_skip.py", skipping("Windows only"))
    done = tested.really_dev("test", "--fail-on-skip")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^  .*test_s: .*Windows only", done.stdout, re.MULTILINE)
    assert last_line(done.stdout) == "3 passed, 0 failed, 1 skipped"
    for suite in ("llm_service", "backend", "tests"):
        assert re.search(rf"== {suite}: 1 passed.* in \d+ s", done.stdout)


def test_a_suite_that_fails_cannot_be_collected_or_is_killed_fails_the_whole_and_the_others_still_run(
    tested: Checkout,
) -> None:
    tested.write("llm_service/tests/test_bad.py", "def test_fails(): assert False\n")
    tested.write("backend/tests/test_bad.py", "import a_module_nobody_has\n")
    tested.write("tests/test_bad.py", "import os, signal\ndef test_dies(): os._exit(0 if os.name == 'nt' else 9)\n")
    done = tested.dev("test")
    assert done.returncode == 1
    assert "Failed: llm_service, backend, tests" in done.stdout
    assert "== llm_service: 1 passed, 1 failed, 0 skipped in" in done.stdout


def test_what_fails_only_beside_other_tests_is_named_and_what_fails_twice_fails(tested: Checkout) -> None:
    once = "from pathlib import Path\ndef test_once():\n    seen = Path('seen')\n    first = not seen.exists()\n"
    tested.write("backend/tests/test_once.py", once + "    seen.touch()\n    assert not first\n")
    done = tested.dev("test", "--run-again", "--only", "backend")
    assert "passed alone): tests.test_once::test_once" in done.stdout
    assert (done.returncode, last_line(done.stdout)) == (0, "2 passed, 1 of them unstable, 0 failed, 0 skipped")

    tested.write("backend/tests/test_bad.py", "def test_fails(): assert False\n")
    done = tested.dev("test", "--run-again", "--only", "backend")
    assert (done.returncode, last_line(done.stdout)) == (1, "2 passed, 1 failed, 0 skipped")


def test_in_ci_what_could_be_installed_excuses_no_skip(tested: Checkout) -> None:
    tested.write("tests/test_skip.py", skipping("no Chromium here"))
    tested.write("tests/test_skip_too.py", skipping("no CUDA device"))
    done = tested.dev("test", "--fail-on-skip", "--only", "tests")
    assert done.returncode == 1
    assert "1 of them because something is missing that could be installed" in done.stdout


def test_arguments_after_two_dashes_go_to_pytest_and_must_match_some_test(tested: Checkout) -> None:
    tested.write("backend/tests/test_more.py", "def test_wanted(): pass\n")
    done = tested.dev("test", "--", "-k", "wanted")
    assert done.returncode == 0, done.stdout
    assert last_line(done.stdout) == "1 passed, 0 failed, 0 skipped"
    done = tested.dev("test", "--only", "backend", "--", "-k", "nothing_is_called_this")
    assert done.returncode == 1
    assert "No test ran" in done.stdout


def test_the_developers_configuration_never_reaches_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    unwanted = {*settings - {"HF_HOME", "HF_ENDPOINT"}, "PGPASSWORD", "PYTHONPATH", "llm_top_p"}
    for name in (*unwanted, "HF_HOME"):
        monkeypatch.setenv(name, "/x")
    environment = testing.environment_for_tests()
    assert [name for name in unwanted if name in environment] == []
    assert (environment["ENV_FILES"], environment["HF_HOME"]) == ("none", "/x")


SLOW = "import pytest\n@pytest.mark.slow(of='ray')\ndef test_ray(): pass\n"


def test_slow_tests_run_when_asked_for_or_when_what_they_test_has_changed(tested: Checkout) -> None:
    tested.write("tests/test_slow.py", SLOW)
    tested.write("tests/pytest.ini", "[pytest]\nmarkers =\n    slow\n")
    tested.write("deploy/ray/serve.yaml", "a: 1\n")
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", str(tested.root))
    for command in (["init", "-q"], ["add", "tests", "deploy"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    try:
        passed = {}
        for name, arguments in {"all": ["--all"], "same": ["--since", "HEAD"]}.items():
            passed[name] = last_line(tested.dev("test", "--only", "tests", *arguments).stdout)[0]
        assert passed == {"all": "2", "same": "1"}
        tested.write("deploy/ray/serve.yaml", "a: 2\n")
        assert testing.slow_kinds(Workspace(tested.root), "HEAD") == {"ray"}
    finally:
        shutil.rmtree(tested.root / ".git")
    assert (
        testing.slow_kinds(Workspace(tested.root), "HEAD") == testing.slow_kinds(Workspace(ROOT), "") == {*testing.SLOW}
    )


def test_reports_count_a_test_that_fails_and_then_breaks_in_teardown_once(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        "<testcase classname='a' name='x'><failure message='no'/></testcase>"
        "<testcase classname='a' name='x'><error message='teardown'/></testcase>"
        "<testcase classname='a' name='y'/>"
        "<testcase classname='a' name='z'><skipped message='why'/></testcase>"
        "</testsuite></testsuites>"
    )
    outcome = testing.read_report(report)
    assert str(outcome) == "1 passed, 1 failed, 1 skipped"
    assert outcome.skipped == [("a::z", "why")]
    assert str(testing.read_report(tmp_path / "missing.xml")) == "0 passed, 0 failed, 0 skipped"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_terminated_test_run_takes_pytest_along(tested: Checkout) -> None:
    note = tested.root / "pytest.pid"
    tested.write(
        "backend/tests/test_long.py",
        f"import os, pathlib, time\ndef test_long():\n    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n",
    )
    running = tested.start("test", "--only", "backend")
    wait_until(lambda: note.exists() and bool(note.read_text()), "pytest is at work")
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 128 + signal.SIGTERM
    wait_until_dead(int(note.read_text()))


# --- check, bench, ingest -----------------------------------------------------------------------


@pytest.fixture
def checked(checkout: Checkout) -> Checkout:
    """A checkout whose tools are stand-ins that fail when a file `<tool>.fails` lies beside them."""
    tool = "import pathlib, sys\nprint('RAN', {0!r}, *sys.argv[1:])\nsys.exit(pathlib.Path('{0}.fails').exists())\n"
    for name in ("ruff", "mypy"):
        checkout.write(f"{name}.py", tool.format(name))
    for app in ("llm_service", "backend"):
        checkout.write(f"{app}/.importlinter", "[importlinter]\n")
        checkout.write(f"{app}/importlinter/__init__.py", "")
        checkout.write(
            f"{app}/importlinter/cli.py",
            "def lint_imports_command():\n    print('RAN importlinter')\n    raise SystemExit(0)\n",
        )
        checkout.write(f"{app}/main.py", "")
    checkout.write("pyproject.toml", "")
    checkout.write("bench/service/fast.py", "")
    return checkout


def test_every_tool_runs_on_everything(checked: Checkout) -> None:
    done = checked.dev("check")
    assert done.returncode == 0, done.stdout
    assert "RAN ruff format --check ." in done.stdout
    assert "RAN ruff check ." in done.stdout
    assert done.stdout.count("RAN importlinter") == 2
    assert done.stdout.count("RAN mypy") == 2
    assert re.search(r"RAN mypy .*backend.*dev\.py .*devtools", done.stdout)
    assert re.search(r"RAN mypy .*llm_service.*bench.service.fast\.py", done.stdout)
    assert re.search(r"All \d+ checks passed", done.stdout)


def test_a_failing_tool_fails_the_check_and_the_others_still_run(checked: Checkout) -> None:
    checked.write("mypy.fails", "")
    done = checked.dev("check")
    assert done.returncode == 1
    assert last_line(done.stdout) == "Failed: types of backend, types of llm_service"
    assert done.stdout.count("RAN mypy") == 2


def test_fix_lets_formatter_and_linter_write(checked: Checkout) -> None:
    output = checked.dev("check", "--fix").stdout
    assert "RAN ruff format ." in output
    assert "RAN ruff check --fix ." in output


def test_an_http_process_that_imports_a_model_library_fails_the_check(checked: Checkout) -> None:
    checked.write("llm_service/torch.py", "")
    checked.write("llm_service/main.py", "import torch\n")
    done = checked.dev("check")
    assert done.returncode == 1
    assert "importing main imports ['torch'] too" in done.stdout


@pytest.fixture
def measuring(checkout: Checkout) -> Checkout:
    """A checkout with two benchmarks; what runs them shows its arguments."""
    checkout.write("bench/__main__.py", f"{SHOW_ARGUMENTS}print(sys.prefix)\nsys.exit('bad' in sys.argv)\n")
    checkout.write("bench/service/fast.py", '"""Measures a thing.\n\nMore of it.\n"""\n\ndef measure(options): ...\n')
    checkout.write("bench/backend/search.py", '"""Measures a thing."""\n\nasync def measure(options): ...\n')
    checkout.write("bench/service/helpers.py", '"""No program."""\n')
    return checkout


def test_benchmarks_run_in_the_environment_of_their_folder(measuring: Checkout) -> None:
    checkout = measuring
    assert sorted(checkout.dev("bench").stdout.splitlines()) == [
        "fast                 Measures a thing.",
        "search               Measures a thing.",
    ]
    done = checkout.dev("bench", "fast", "--", "--requests", "8")
    assert done.returncode == 0, done.stdout
    assert arguments_seen(done.stdout)[1:] == ["service.fast", "--requests", "8"]
    assert str(checkout.venv("llm_service")) in done.stdout
    done = checkout.dev("bench", "search")
    assert str(checkout.venv("backend")) in done.stdout


def test_an_unknown_benchmark_is_answered_with_the_known_ones_and_one_that_fails_fails_the_command(
    measuring: Checkout,
) -> None:
    done = measuring.dev("bench", "slow")
    assert (done.returncode, "There are: search, fast." in done.stdout) == (1, True), done.stdout
    done = measuring.dev("bench", "fast", "search", "--", "bad")
    assert (done.returncode, "Failed: fast, search" in done.stdout) == (1, True)


MODELS = "llm_service/scripts/models.py"


@pytest.mark.parametrize(
    ("arguments", "script", "passed"),
    [
        (["ingest", "a b.json", "--", "--dry-run"], "backend/scripts/ingest.py", ["{file}", "--dry-run"]),
        (["fit", "a b.json"], "backend/scripts/fit_threshold.py", ["{file}"]),
        (["backup", "a b.json"], "backend/scripts/backup.py", ["save", "--", "{file}"]),
        (["restore", "a b.json"], "backend/scripts/backup.py", ["restore", "--", "{file}"]),
        (["restore", "--replace", "a b.json"], "backend/scripts/backup.py", ["restore", "--replace", "--", "{file}"]),
        (["model", "list"], MODELS, ["list"]),
        (["model", "list", "--json"], MODELS, ["--json", "list"]),
        (["model", "pull", "a/b", "--update"], MODELS, ["--update", "pull", "--", "a/b"]),
        (["model", "pull", "a/b:c.gguf@v1"], MODELS, ["pull", "--", "a/b:c.gguf@v1"]),
        (["model", "info", "--json", "embedded"], MODELS, ["--json", "info", "--", "embedded"]),
        (["model", "info", "a b.json"], MODELS, ["info", "--", "{file}"]),
    ],
)
def test_an_apps_script_gets_absolute_paths_and_options_and_its_exit_status_is_the_commands(
    checkout: Checkout, arguments: list[str], script: str, passed: list[str]
) -> None:
    checkout.write(script, SHOW_ARGUMENTS + "sys.exit(7)\n")
    file = checkout.write("a b.json", "[]")
    done = checkout.dev(*arguments)
    assert done.returncode == 7
    app, *_ = script.split("/")
    assert arguments_seen(done.stdout) == [str(checkout.root / app), *(part.format(file=file) for part in passed)]


def test_the_services_own_script_takes_what_it_is_given(capfd: pytest.CaptureFixture[str]) -> None:
    here = Checkout(ROOT, {"ENV_FILES": "none"}, capture=capfd)
    done = here.dev("model", "info", "--json", "embedded")
    assert (done.returncode, json.loads(done.stdout)["purpose"]) == (0, "text")


def test_missing_files_of_ingest_and_the_hubs_own_command_for_removing_are_named(checkout: Checkout) -> None:
    done = checkout.dev("ingest", "nowhere.json")
    assert (done.returncode, "There is no nowhere.json" in done.stdout) == (1, True)
    done = checkout.dev("model", "remove", "a/b")
    assert (done.returncode, "cache rm model/OWNER/NAME" in done.stdout) == (2, True)


def test_without_an_environment_the_way_to_get_one_is_named(bare_checkout: Checkout) -> None:
    ports = ("--llm-port", str(free_port()), "--backend-port", str(free_port()))
    for command in (["model", "list"], ["up", "--no-install", *ports]):
        done = bare_checkout.dev(*command)
        assert done.returncode == 1
        assert "The environment of llm_service is not usable: there is none yet" in done.stdout
        assert "python dev.py setup" in done.stdout
    assert not bare_checkout.venv("llm_service").exists()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_an_interruption_reaches_the_script_and_its_last_words_are_shown(checkout: Checkout) -> None:
    checkout.write(
        MODELS,
        "import sys, time\n"
        "print('downloading', flush=True)\n"
        "try:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('run the same command to resume', flush=True)\n    sys.exit(130)\n",
    )
    running = checkout.start("model", "pull", "a/b")
    running.wait_for("downloading")
    running.interrupt()
    assert running.end() == 130
    assert "run the same command to resume" in running.output


# --- this repository ----------------------------------------------------------------------------


def test_the_ci_script_runs_the_tests_strictly() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert "python3 dev.py test --fail-on-skip --run-again --since " in script
    bash = shutil.which("bash")
    if bash:
        assert subprocess.run([bash, "-n", ROOT / ".ci" / "run"], check=False).returncode == 0


def test_a_reader_that_goes_away_does_not_end_the_work() -> None:
    code = (
        "from devtools.console import Console\nc = Console()\n"
        "for i in range(100000): c.line('x' * 100)\nopen(2, 'w').write('done')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == b"done"
