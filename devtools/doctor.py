"""`dev.py doctor`: looks at everything, tells what is wrong and the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from devtools import (
    doctor_configuration,
    doctor_database,
    doctor_environments,
    doctor_machine,
    doctor_models,
    doctor_network,
    doctor_upstream,
)
from devtools.console import Console
from devtools.findings import Finding, fail
from devtools.layout import Workspace

EPILOG = """exit status:
  0    all is well, or there are only warnings
  1    something must be mended (a line that begins with fail)
  2    wrong usage
  130  interrupted"""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
Check = Callable[[Workspace], "Finding | Iterable[Finding]"]

# In the order in which one would mend.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", lambda _: doctor_machine.python()),
    ("clock", doctor_network.clock),
    ("disk", doctor_machine.disk),
    ("memory", lambda _: doctor_machine.memory()),
    ("processor", lambda _: doctor_machine.processor()),
    ("environments", doctor_environments.environments),
    ("packages", doctor_environments.packages),
    ("PyTorch", doctor_environments.graphics),
    (".env", doctor_configuration.env_files),
    ("settings", doctor_configuration.settings),
    ("access", doctor_configuration.keys),
    ("ports", doctor_machine.open_ports),
    ("proxy", doctor_network.proxies),
    ("LLM service", doctor_network.services),
    ("upstream", doctor_upstream.upstream),
    ("models", doctor_models.models),
    ("database", doctor_database.database),
)


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Every finding. A check that the machine keeps from looking is a finding, too."""
    for subject, check in CHECKS:
        yield from _look(subject, check, workspace)


def _look(subject: str, check: Check, workspace: Workspace) -> Iterator[Finding]:
    try:
        found = check(workspace)
        yield from [found] if isinstance(found, Finding) else found
    except OSError as fault:
        yield fail(subject, f"cannot be looked at: {fault}", "check who owns the file, and its permissions")


def run(workspace: Workspace, console: Console) -> int:
    """Prints every finding; 1 when one of them is a fault."""
    counts = {"ok": 0, "warn": 0, "fail": 0}
    for finding in examine(workspace):
        counts[finding.verdict] += 1
        console.line(
            f"{console.paint(f'{finding.verdict:<4}', _COLOURS[finding.verdict])}  {finding.subject}: {finding.seen}"
        )
        if finding.mend:
            console.line(f"      -> {finding.mend}")
    console.line(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    return 1 if counts["fail"] else 0
