"""Reads `.env` files the way the apps do.

Covers only what this command needs: finding hosts, ports and addresses, and reporting invalid lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devtools.errors import DevError
from devtools.layout import App, Workspace

_ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)$")
_QUOTED = re.compile(r"""(['"])((?:\\.|(?!\1).)*)\1\s*(?:#.*)?""")


@dataclass(frozen=True)
class Problem:
    """An invalid line of a `.env` file."""

    path: Path
    line: int
    what: str


def files_for(workspace: Workspace, app: App) -> list[Path]:
    """The `.env` files an app reads, later ones taking precedence (same as in the apps' settings)."""
    override = os.environ.get("ENV_FILES", "")
    if override == "none":
        return []
    if override:
        order = [Path(part) for part in override.split(os.pathsep) if part]
    else:
        order = [workspace.root / ".env", workspace.backend.folder / ".env", app.folder / ".env"]
    return [path for path in dict.fromkeys(order) if path.is_file()]


def parse(path: Path, problems: list[Problem] | None = None) -> dict[str, str]:
    """The assignments of one file, names in capitals. Invalid lines are added to `problems`."""
    problems = [] if problems is None else problems
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem(path, 1, "is not UTF-8 (Windows PowerShell's `>` writes UTF-16): save it as UTF-8"))
        return {}
    except OSError as fault:
        problems.append(Problem(path, 1, f"cannot be read: {fault.strerror}"))
        return {}
    return dict(_assignments(path, text, problems))


def _assignments(path: Path, text: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        if not match:
            # The line may contain a secret, so it is not quoted.
            problems.append(Problem(path, number, "is not NAME=value"))
            continue
        name, value = match.group(1).upper(), match.group(2).strip()
        if value[:1] in ("'", '"'):
            quoted = _QUOTED.fullmatch(value)
            if not quoted:
                what = "the quotation mark is never closed, or something follows the closing one"
                problems.append(Problem(path, number, f"{name}: {what}"))
                continue
            value = re.sub(r"\\(['\"\\])", r"\1", quoted[2])
        else:
            # Before it is stripped: in `NAME=  # comment` there is no value.
            value = re.split(r"\s+#", match.group(2), maxsplit=1)[0].strip()
        yield name, value


def configuration(workspace: Workspace, app: App, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """An app's configuration: its `.env` files, overridden by the environment."""
    values: dict[str, str] = {}
    for path in files_for(workspace, app):
        values.update(parse(path))
    values.update({name.upper(): value for name, value in (os.environ if environ is None else environ).items()})
    return {name: value for name, value in values.items() if value != ""}


def address(workspace: Workspace, app: App, wanted_port: int | None = None) -> tuple[str, int]:
    """The configured host of an app, and its port or `wanted_port`; raises DevError for an invalid port."""
    configured = configuration(workspace, app)
    port = str(wanted_port or configured.get(app.port_variable, app.default_port))
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise DevError(f"{app.port_variable}={port} is not a port.", "Set it to a number from 1 to 65535.")
    return configured.get(app.host_variable, "127.0.0.1"), int(port)
