"""`dev.py test`: the tests of both apps and of both together, one suite after the other."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from devtools.console import Console
from devtools.layout import App, Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.stopping import Stop

# What a developer has configured for real use must not reach a test: not the production database,
# not a paid key, not another model.
_CONFIGURATION = re.compile(
    r"^(LLM|EMBED|EMBEDDING|BACKEND|DATABASE|RAG|SUPABASE|CORS|HUGGINGFACE|OPENAI|OTEL)_"
    r"|^PG[A-Z]+$|^(HF_TOKEN|HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE|DEBUG|LOG_LEVEL|LOG_FORMAT|TRACING|SAMPLE_LEXICON"
    r"|DATA_DIR|MODEL_CACHE_DIR|MAX_BODY_BYTES|APP_NAME|APP_VERSION)$",
    re.IGNORECASE,
)
# The only excuses for a skipped test where nothing may be missing (--fail-on-skip): what a machine
# cannot be given by installing something.
_ACCEPTED_SKIPS = re.compile(r"\b(gpu|cuda|windows|macos|posix|linux|rosetta|avx512|amx)\b", re.IGNORECASE)
_NO_TESTS = 5
SUITES = ("llm_service", "backend", "tests")


@dataclass(frozen=True)
class Suite:
    """Tests that run in one process: their name, working directory, and the app whose environment they use."""

    name: str
    folder: Path
    app: App
    arguments: tuple[str, ...] = ()


@dataclass
class Outcome:
    """Counts of one or several suites; `skips` holds (test, reason)."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    skips: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Adds another suite's counts."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.skips += other.skips

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def suites(workspace: Workspace, only: Sequence[str] = ()) -> list[Suite]:
    """The suites to run, in order; those without a folder are left out."""
    every = [
        Suite("llm_service", workspace.llm_service.folder, workspace.llm_service),
        Suite("backend", workspace.backend.folder, workspace.backend),
        Suite("tests", workspace.root, workspace.backend, ("tests",)),
    ]
    return [s for s in every if (not only or s.name in only) and (s.folder / "tests").is_dir()]


def environment_for_tests() -> dict[str, str]:
    """The environment tests run in: the developer's, without anything that configures the apps."""
    environment = {name: value for name, value in child_environment().items() if not _CONFIGURATION.search(name)}
    environment["ENV_FILES"] = "none"
    return environment


def run(
    workspace: Workspace,
    chosen: Sequence[Suite],
    arguments: Sequence[str],
    fail_on_skip: bool,
    console: Console,
    stop: Stop,
) -> int:
    """Runs the suites and prints the summary; 0 when every one passed."""
    total = Outcome()
    broken = []
    for suite in chosen:
        console.line(f"== {suite.name} ==")
        report = workspace.data / "test-results" / f"{suite.name}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        command: list[str | Path] = [
            suite.app.python,
            "-m",
            "pytest",
            f"--junitxml={report}",
            *suite.arguments,
            *arguments,
        ]
        begun = time.monotonic()
        status = run_in_foreground(command, cwd=suite.folder, env=environment_for_tests(), stop=stop)
        outcome = read_report(report)
        total.add(outcome)
        # With arguments such as `-k name` a suite without a match is no failure.
        if status and not (status == _NO_TESTS and arguments):
            broken.append(suite.name)
        console.line(
            f"== {suite.name}: {outcome} in {time.monotonic() - begun:.0f} s (pytest's exit status {status}) ==\n"
        )
    return _conclude(total, broken, fail_on_skip, console)


def _conclude(total: Outcome, broken: list[str], fail_on_skip: bool, console: Console) -> int:
    if total.skips:
        console.line("Skipped:")
        for test, reason in total.skips:
            console.line(f"  {test}: {reason}")
    unexcused = [test for test, reason in total.skips if not _ACCEPTED_SKIPS.search(reason)] if fail_on_skip else []
    if unexcused:
        console.line(f"{len(unexcused)} of them because something is missing that could be installed (--fail-on-skip).")
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
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "failed"
        elif (skip := case.find("skipped")) is not None and verdict == "passed":
            verdict = "skipped"
            outcome.skips.append(("::".join(filter(None, test)), skip.get("message", "no reason given")))
        seen[test] = verdict
    verdicts = list(seen.values())
    outcome.passed, outcome.failed = verdicts.count("passed"), verdicts.count("failed")
    outcome.skipped = verdicts.count("skipped")
    return outcome


def in_continuous_integration() -> bool:
    """Whether this runs in CI, by the variable every CI system sets."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")
