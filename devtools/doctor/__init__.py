"""`dev.py doctor`: examines the machine and the configuration, reports faults and what corrects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from devtools.console import Console
from devtools.doctor import configuration, database, environments, machine, models, network
from devtools.doctor.findings import Finding, fail
from devtools.layout import Workspace

EPILOG = """exit status:
  0    no fault, or only warnings
  1    something must be corrected (a line that begins with fail)
  2    wrong usage
  130  interrupted"""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
Check = Callable[[Workspace], "Finding | Iterable[Finding]"]

# In the order in which faults are best corrected.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", lambda _: machine.python()),
    ("disk", machine.disk),
    ("environments", environments.environments),
    ("packages", environments.packages),
    ("PyTorch", environments.graphics),
    (".env", configuration.env_files),
    ("settings", configuration.settings),
    ("ports", machine.open_ports),
    ("proxy", network.proxies),
    ("LLM service", network.services),
    ("models", models.models),
    ("database", database.database),
)


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Every finding. A check that cannot run on this machine is a finding, too."""
    for subject, check in CHECKS:
        yield from _look(subject, check, workspace)


def _look(subject: str, check: Check, workspace: Workspace) -> Iterator[Finding]:
    try:
        found = check(workspace)
        yield from [found] if isinstance(found, Finding) else found
    except OSError as fault:
        yield fail(subject, f"cannot be checked: {fault}", "check who owns the file, and its permissions")


def run(workspace: Workspace, console: Console) -> int:
    """Prints every finding; 1 when one of them is a fault."""
    counts = {"ok": 0, "warn": 0, "fail": 0}
    for finding in examine(workspace):
        counts[finding.verdict] += 1
        console.line(
            f"{console.paint(f'{finding.verdict:<4}', _COLOURS[finding.verdict])}  {finding.subject}: {finding.seen}"
        )
        if finding.remedy:
            console.line(f"      -> {finding.remedy}")
    console.line(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    return 1 if counts["fail"] else 0
