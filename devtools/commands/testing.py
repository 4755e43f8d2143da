"""`dev.py test`: the tests of both apps and of both together, side by side, since many of them only wait."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from devtools.console import Console
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.stopping import Stop

# What a developer has configured for real use must not reach a test: not the production database,
# not a paid key, not another model.
_CONFIGURATION = re.compile(
    r"^(LLM|EMBED|EMBEDDING|RERANK|BACKEND|DATABASE|RAG|SUPABASE|CORS|HUGGINGFACE|OPENAI|OTEL)_"
    r"|^PG[A-Z]+$|^(HF_TOKEN|HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE|DEBUG|LOG_LEVEL|LOG_FORMAT|TRACING|SAMPLE_LEXICON"
    r"|DATA_DIR|MODEL_CACHE_DIR|PAGE_SUGGESTIONS|REPORTS|MENTOR|TRUSTED_HOSTS|MAX_BODY_BYTES|UPLOAD_MAX_BYTES"
    r"|APP_NAME|APP_VERSION)$",
    re.IGNORECASE,
)
# Acceptable reasons for a skipped test with --fail-on-skip: what cannot be installed on a machine.
_ACCEPTED_SKIPS = re.compile(
    r"\b(gpu|cuda|windows|macos|posix|linux|rosetta|avx512|amx|container engine)\b", re.IGNORECASE
)
_TESTS_FAILED = 1
_NO_TESTS = 5
_RUN_AGAIN = 5
# Collecting them loads torch, which takes longer than many other tests together: a suite of its own.
_ENGINES = "tests/engines"
SUITES = ("llm_service", "engines", "backend", "tests")
# Tests marked `slow(of=KIND)` run with --all, and with --since when a file that matches has changed.
SLOW = {
    "clients": ("llm_service/routers/*", "llm_service/schemas/*", "llm_service/services/*", "tests/clients/*"),
    "fidelity": ("llm_service/engines/openvino/*", "llm_service/models/*", "llm_service/tests/*fidelity*"),
    "images": ("deploy/docker/*", "*/requirements*.txt", "*/constraints.txt", "tests/*image*"),
    "ray": ("deploy/ray/*", "tests/*ray*"),
    "structure": (
        "llm_service/services/structure/*",
        "llm_service/engines/prompts/tools.py",
        "llm_service/tests/*structure*",
    ),
    "schemathesis_backend": ("backend/routers/*", "backend/schemas/*", "backend/tests/*schemathesis*", "tests/schema*"),
    "schemathesis_llm_service": (
        "llm_service/routers/*",
        "llm_service/schemas/*",
        "llm_service/tests/*schemathesis*",
        "tests/schema*",
    ),
}


def slow_kinds(workspace: Workspace, base: str) -> set[str]:
    """The kinds of slow tests whose files differ between the commit `base` and the working tree.

    All of them when there is no such commit: without a base nothing is known to be unchanged.
    """
    command = ["git", "-C", str(workspace.root), "diff", "--name-only", base, "--"]
    diff = subprocess.run(command, capture_output=True, text=True, check=False)
    if not base or diff.returncode:
        return set(SLOW)
    changed = diff.stdout.splitlines()
    return {kind for kind, patterns in SLOW.items() if any(fnmatch(f, p) for f in changed for p in patterns)}


@dataclass(frozen=True)
class Suite:
    """Tests below one folder: their name, working directory, and the app whose environment they use."""

    name: str
    folder: Path
    app: App
    arguments: tuple[str, ...] = ()


@dataclass
class Outcome:
    """The outcome of the tests of one or several suites; `skipped` holds (test, reason).

    `unstable` names the tests that failed beside the others and passed alone.
    """

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Adds another suite's tests."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.unstable += other.unstable

    def __str__(self) -> str:
        unstable = f", {len(self.unstable)} of them unstable" if self.unstable else ""
        return f"{self.passed} passed{unstable}, {len(self.failed)} failed, {len(self.skipped)} skipped"


def suites(workspace: Workspace, only: Sequence[str] = ()) -> list[Suite]:
    """The suites to run, in order; those without a folder are left out."""
    llm_service, backend = workspace.llm_service, workspace.backend
    every = [
        Suite("llm_service", llm_service.folder, llm_service, (f"--ignore={_ENGINES}",)),
        Suite("engines", llm_service.folder, llm_service, ("-o", f"testpaths={_ENGINES}")),
        Suite("backend", backend.folder, backend),
        Suite("tests", workspace.root, backend, ("tests",)),
    ]
    found = [s for s in every if (s.folder / (_ENGINES if s.name == "engines" else "tests")).is_dir()]
    return [s for s in found if not only or s.name in only]


def environment_for_tests() -> dict[str, str]:
    """The environment tests run in: the developer's, without anything that configures the apps."""
    environment = {name: value for name, value in child_environment().items() if not _CONFIGURATION.search(name)}
    environment["ENV_FILES"] = "none"
    return environment


@dataclass(frozen=True)
class Options:
    """How to run the suites: the slow kinds to include, arguments for pytest, whether skips fail.

    With `run_again` at most five failed tests of a suite run a second time, when nothing runs beside them.
    """

    slow: set[str]
    arguments: Sequence[str] = ()
    fail_on_skip: bool = False
    run_again: bool = False


class Runner:
    """Runs suites with pytest; reports and output of those that do not have the terminal lie in `results`."""

    def __init__(self, results: Path, options: Options, console: Console, stop: Stop) -> None:
        self._results, self._options, self._console, self._stop = results, options, console, stop
        results.mkdir(parents=True, exist_ok=True)

    def run(self, suite: Suite, is_first: bool) -> tuple[int, float]:
        """Runs one suite; returns pytest's exit status and the seconds it took. The first one has the terminal."""
        begun = time.monotonic()
        if is_first:
            status = self._pytest(suite, suite.name, _workers(is_first))
        else:
            with self._log(suite).open("wb") as log:
                status = self._pytest(suite, suite.name, _workers(is_first), log)
        return status, time.monotonic() - begun

    def conclude(self, suite: Suite, is_first: bool, status: int, seconds: float) -> Outcome:
        """Prints the output of a suite that ran beside the first one, and the outcome of its tests."""
        if not is_first:
            self._console.line(self._log(suite).read_text(encoding="utf-8", errors="replace"))
        outcome = read_report(self._results / f"{suite.name}.xml")
        self._console.line(f"== {suite.name}: {outcome} in {seconds:.0f} s (pytest's exit status {status}) ==\n")
        return outcome

    def again(self, suite: Suite, outcome: Outcome) -> int:
        """Runs the failed tests alone and moves them to `unstable` when all of them pass; returns pytest's status."""
        self._console.line(f"== {suite.name}: {len(outcome.failed)} again, alone ==")
        report = f"{suite.name}-again"
        status = self._pytest(suite, report, ["--last-failed", "--last-failed-no-failures=none"])
        if not status and read_report(self._results / f"{report}.xml").passed == len(outcome.failed):
            outcome.passed += len(outcome.failed)
            outcome.unstable, outcome.failed = outcome.failed, []
        return status

    def _log(self, suite: Suite) -> Path:
        return self._results / f"{suite.name}.log"

    def _pytest(self, suite: Suite, report: str, how: Sequence[str], output: IO[bytes] | None = None) -> int:
        xml = self._results / f"{report}.xml"
        xml.unlink(missing_ok=True)
        kept = [f"--junitxml={xml}", "-o", f"cache_dir={self._results / suite.name}.cache", "--durations=5"]
        selected = [*_selection(self._options.slow), *suite.arguments, *self._options.arguments]
        command: list[str | Path] = [suite.app.python, "-m", "pytest", *kept, *selected, *how]
        environment = environment_for_tests()
        return run_in_foreground(command, cwd=suite.folder, env=environment, stop=self._stop, output=output)


def run(workspace: Workspace, chosen: Sequence[Suite], options: Options, console: Console, stop: Stop) -> int:
    """Runs the suites side by side and prints the summary; 0 when every one passed."""
    runner = Runner(workspace.data / "test-results", options, console, stop)
    statuses, outcomes = [], []
    with ThreadPoolExecutor(len(chosen)) as pool:
        running = [pool.submit(runner.run, suite, suite == chosen[0]) for suite in chosen]
        for suite, ended in zip(chosen, running, strict=True):
            console.line(f"== {suite.name} ==")
            status, seconds = ended.result()
            outcomes.append(runner.conclude(suite, suite == chosen[0], status, seconds))
            # With arguments such as `-k name` a suite without a match is no failure.
            statuses.append(0 if status == _NO_TESTS and options.arguments else status)
    total = Outcome()
    for at, (suite, outcome) in enumerate(zip(chosen, outcomes, strict=True)):
        if options.run_again and statuses[at] == _TESTS_FAILED and 0 < len(outcome.failed) <= _RUN_AGAIN:
            statuses[at] = runner.again(suite, outcome)
        total.add(outcome)
    broken = [suite.name for suite, status in zip(chosen, statuses, strict=True) if status]
    return _conclude(total, broken, options.fail_on_skip, console)


def _selection(slow: set[str]) -> list[str]:
    """Pytest's options that leave out the slow tests but for these kinds."""
    return ["-m", " or ".join(["not slow", *(f"slow(of={kind!r})" for kind in sorted(slow))])]


def _workers(is_first: bool) -> list[str]:
    """Pytest's options for a worker a core, at most four; half as many for the shorter suites beside the first.

    Files are taken in the order of their names. By default those of few tests come last, and these are the slowest:
    the last worker would be left alone with them.
    """
    count = min(4, os.cpu_count() or 1) // (1 if is_first else 2)
    return ["-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder"] if count > 1 else []


def _conclude(total: Outcome, broken: list[str], fail_on_skip: bool, console: Console) -> int:
    if total.skipped:
        console.line("Skipped:")
        for test, reason in total.skipped:
            console.line(f"  {test}: {reason}")
    unexcused = [test for test, reason in total.skipped if not _ACCEPTED_SKIPS.search(reason)] if fail_on_skip else []
    if unexcused:
        console.line(f"{len(unexcused)} of them because something is missing that could be installed (--fail-on-skip).")
    for test in total.unstable:
        console.line(f"Unstable (failed beside other tests, passed alone): {test}")
    if broken:
        console.line(f"Failed: {', '.join(broken)}")
    if not total.passed and not total.failed:
        console.line("No test ran.")
    console.line(str(total))
    return 1 if broken or total.failed or unexcused or not total.passed else 0


def read_report(path: Path) -> Outcome:
    """The tests of a JUnit XML report; a missing or broken one holds none (the exit status then shows the failure)."""
    try:
        cases: Iterable[ElementTree.Element] = ElementTree.parse(path).iter("testcase")  # noqa: S314 - our own file
    except (OSError, ElementTree.ParseError):
        return Outcome()
    skipped: dict[str, str] = {}
    # One test can appear twice: failed, and then again with an error in its teardown.
    failed: dict[str, bool] = {}
    for case in cases:
        test = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        is_failed = case.find("failure") is not None or case.find("error") is not None
        failed[test] = failed.get(test, False) or is_failed
        if (skip := case.find("skipped")) is not None:
            skipped[test] = skip.get("message", "no reason given")
    names = [test for test, is_failed in failed.items() if is_failed]
    skips = [(test, reason) for test, reason in skipped.items() if not failed[test]]
    return Outcome(len(failed) - len(names) - len(skips), names, skips)
