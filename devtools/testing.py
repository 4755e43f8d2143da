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
    r"|DATA_DIR|MODEL_CACHE_DIR|PAGE_SUGGESTIONS|REPORTS|MAX_BODY_BYTES|UPLOAD_MAX_BYTES|APP_NAME|APP_VERSION)$",
    re.IGNORECASE,
)
# Acceptable reasons for a skipped test with --fail-on-skip: what cannot be installed on a machine.
_ACCEPTED_SKIPS = re.compile(
    r"\b(gpu|cuda|windows|macos|posix|linux|rosetta|avx512|amx|container engine)\b", re.IGNORECASE
)
_TESTS_FAILED = 1
_NO_TESTS = 5
_RUN_AGAIN = 5
_SHOWN = 10
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
    """Counts of one or several suites; `skips` holds (test, reason), `durations` (seconds, test).

    `unstable` names the tests that failed beside the others and passed alone.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    unstable: list[str] = field(default_factory=list)
    skips: list[tuple[str, str]] = field(default_factory=list)
    durations: list[tuple[float, str]] = field(default_factory=list)
    failed_tests: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Adds another suite's counts."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.skips += other.skips
        self.durations += other.durations
        self.unstable += other.unstable

    def __str__(self) -> str:
        unstable = f", {len(self.unstable)} of them unstable" if self.unstable else ""
        return f"{self.passed} passed{unstable}, {self.failed} failed, {self.skipped} skipped"


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


def run(workspace: Workspace, chosen: Sequence[Suite], options: Options, console: Console, stop: Stop) -> int:
    """Runs the suites and prints the summary; 0 when every one passed.

    The first one has the terminal; the others run beside it, and their output is printed when they have ended.
    """
    results = workspace.data / "test-results"
    results.mkdir(parents=True, exist_ok=True)

    def command(suite: Suite, report: str) -> list[str | Path]:
        selected = [*_selection(options.slow), *suite.arguments, *options.arguments]
        kept = ["-o", f"cache_dir={results / suite.name}.cache"]
        return [suite.app.python, "-m", "pytest", f"--junitxml={results / report}.xml", *kept, *selected]

    def run_suite(suite: Suite, output: IO[bytes] | None = None) -> tuple[int, float]:
        (results / f"{suite.name}.xml").unlink(missing_ok=True)
        parallel = [*command(suite, suite.name), *_workers(suite == chosen[0])]
        begun = time.monotonic()
        status = run_in_foreground(parallel, cwd=suite.folder, env=environment_for_tests(), stop=stop, output=output)
        return status, time.monotonic() - begun

    def run_beside(suite: Suite) -> tuple[int, float]:
        with (results / f"{suite.name}.log").open("wb") as log:
            return run_suite(suite, log)

    def run_again(suite: Suite, outcome: Outcome) -> int:
        """Runs the failed tests alone and moves them to `unstable` when all of them pass; returns pytest's status."""
        report = f"{suite.name}-again"
        (results / f"{report}.xml").unlink(missing_ok=True)
        console.line(f"== {suite.name}: {len(outcome.failed_tests)} again, alone ==")
        again = [*command(suite, report), "--last-failed", "--last-failed-no-failures=none"]
        status = run_in_foreground(again, cwd=suite.folder, env=environment_for_tests(), stop=stop)
        second = read_report(results / f"{report}.xml")
        if not status and second.passed == outcome.failed:
            outcome.unstable, outcome.failed_tests = outcome.failed_tests, []
            outcome.passed, outcome.failed = outcome.passed + outcome.failed, 0
        return status

    statuses = {}
    outcomes = {}
    with ThreadPoolExecutor(len(chosen)) as pool:
        beside = {suite.name: pool.submit(run_beside, suite) for suite in chosen[1:]}
        for suite in chosen:
            console.line(f"== {suite.name} ==")
            if suite.name in beside:
                status, seconds = beside[suite.name].result()
                console.line((results / f"{suite.name}.log").read_text(encoding="utf-8", errors="replace"))
            else:
                status, seconds = run_suite(suite)
            # With arguments such as `-k name` a suite without a match is no failure.
            statuses[suite.name] = 0 if status == _NO_TESTS and options.arguments else status
            outcomes[suite.name] = read_report(results / f"{suite.name}.xml")
            console.line(
                f"== {suite.name}: {outcomes[suite.name]} in {seconds:.0f} s (pytest's exit status {status}) ==\n"
            )
    total = Outcome()
    for suite in chosen:
        outcome = outcomes[suite.name]
        if options.run_again and statuses[suite.name] == _TESTS_FAILED and 0 < outcome.failed <= _RUN_AGAIN:
            statuses[suite.name] = run_again(suite, outcome)
        total.add(outcome)
    return _conclude(total, [name for name, status in statuses.items() if status], options.fail_on_skip, console)


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
    if total.durations:
        console.line("Slowest:")
        for seconds, test in sorted(total.durations, reverse=True)[:_SHOWN]:
            console.line(f"  {seconds:6.1f} s  {test}")
    if total.skips:
        console.line("Skipped:")
        for test, reason in total.skips:
            console.line(f"  {test}: {reason}")
    unexcused = [test for test, reason in total.skips if not _ACCEPTED_SKIPS.search(reason)] if fail_on_skip else []
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
    """Counts of a JUnit XML report; a missing or broken one counts nothing (the exit status then tells)."""
    outcome = Outcome()
    try:
        cases: Iterable[ElementTree.Element] = ElementTree.parse(path).iter("testcase")  # noqa: S314 - our own file
    except (OSError, ElementTree.ParseError):
        return outcome
    # One test can appear twice: failed, and then again with an error in its teardown.
    seen: dict[tuple[str, str], str] = {}
    for case in cases:
        test = (case.get("classname", ""), case.get("name", ""))
        verdict = seen.get(test, "passed")
        name = "::".join(filter(None, test))
        outcome.durations.append((float(case.get("time") or 0), name))
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "failed"
        elif (skip := case.find("skipped")) is not None and verdict == "passed":
            verdict = "skipped"
            outcome.skips.append((name, skip.get("message", "no reason given")))
        seen[test] = verdict
    verdicts = list(seen.values())
    outcome.failed_tests = ["::".join(filter(None, test)) for test, verdict in seen.items() if verdict == "failed"]
    outcome.passed, outcome.failed = verdicts.count("passed"), verdicts.count("failed")
    outcome.skipped = verdicts.count("skipped")
    return outcome
