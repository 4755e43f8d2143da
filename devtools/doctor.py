"""`dev.py doctor`: looks at everything, tells what is wrong and the mend."""

from __future__ import annotations

from collections.abc import Iterator

from devtools import doctor_configuration, doctor_machine
from devtools.console import Console
from devtools.findings import Finding
from devtools.layout import Workspace

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Every finding, in the order in which one would mend them."""
    yield doctor_machine.python()
    yield doctor_machine.disk(workspace)
    yield doctor_machine.memory()
    yield doctor_machine.processor()
    yield from doctor_machine.environments(workspace)
    yield doctor_machine.graphics(workspace)
    yield from doctor_configuration.env_files(workspace)
    yield from doctor_configuration.keys(workspace)
    yield from doctor_machine.open_ports(workspace)
    yield from doctor_configuration.models(workspace)
    yield doctor_configuration.database(workspace)


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
