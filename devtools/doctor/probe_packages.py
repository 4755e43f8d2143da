"""Checks an environment's packages from inside: present, in the pinned version, importable.

Run by the doctor with the environment's own Python: `python -I probe_packages.py requirements.txt …`. Prints one JSON
object a package before importing it, and one with the problem, if any: a package whose import ends the process has
then been named.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import sys
import warnings
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*])?==([^\s;]+)", re.MULTILINE)


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def modules_of(package: str) -> list[str]:
    """The modules a package brings: the one of its own name if there is one, else all public ones."""
    owners = importlib.metadata.packages_distributions()
    mine = [module for module, names in owners.items() if normal(package) in map(normal, names)]
    public = [module for module in mine if module.isidentifier() and not module.startswith("_")]
    return [module for module in public if normal(module) == normal(package)] or public


def problem_of(package: str, wanted: str, *, imports: bool) -> str:
    """What is wrong with a package; empty if nothing is."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"
    # A build is named after a plus sign (2.13.0+cpu); the pin does not care which.
    if found.partition("+")[0] != wanted.partition("+")[0]:
        return f"is {found}, {wanted} is pinned"
    for module in modules_of(package) if imports else ():
        try:
            importlib.import_module(module)
        except Exception as fault:  # noqa: BLE001, PERF203 - an import may raise anything, and reporting it is the purpose
            return f"`import {module}` fails: {type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
    return ""


def report(found: dict[str, str]) -> None:
    """Prints one object, at once."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for path in map(Path, sys.argv[1:]):
        for name, version in _PIN.findall(path.read_text(encoding="utf-8")):
            report({"package": name})
            # The embedded models are data in a package; what their own code would import is left out on purpose.
            if problem := problem_of(name, version, imports=path.name != "requirements-models.txt"):
                report({"package": name, "problem": problem})
