"""Finding a Python that can run the apps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass

from devtools.errors import DevError
from devtools.layout import WINDOWS

APPS_MINIMUM = (3, 11)
APPS_LIMIT = (3, 15)
_PREFERRED = ("3.12", "3.13", "3.11", "3.14")
_QUESTION = "import struct,sys;print('%d %d %d %d' % (*sys.version_info[:3], struct.calcsize('P') * 8), sys.executable)"


@dataclass(frozen=True)
class Interpreter:
    """An interpreter: its executable, its version and whether it is a 64-bit build."""

    executable: str
    version: tuple[int, int, int]
    bits: int

    @property
    def suits_the_apps(self) -> bool:
        """Whether the apps' packages can be installed with it (PyTorch has 64-bit builds only)."""
        return APPS_MINIMUM <= self.version[:2] < APPS_LIMIT and self.bits == 64

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.executable})"


def ask(command: list[str]) -> Interpreter | None:
    """Queries an interpreter; None if it does not start or is not Python.

    Excludes the Microsoft Store's placeholder `python.exe`, which prints nothing to stdout.
    """
    try:
        answer = subprocess.run(
            [*command, "-c", _QUESTION], capture_output=True, text=True, encoding="utf-8", timeout=30, check=True
        ).stdout.split(maxsplit=4)
        major, minor, micro, bits = (int(part) for part in answer[:4])
        return Interpreter(answer[4].strip(), (major, minor, micro), bits)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def candidates() -> list[list[str]]:
    """Commands that may be a suitable Python, in order of preference."""
    found = [[sys.executable]]
    if WINDOWS and shutil.which("py"):
        found += [["py", f"-{version}"] for version in _PREFERRED]
    names = [f"python{version}" for version in _PREFERRED] + ["python3", "python"]
    found += [[path] for path in map(shutil.which, names) if path]
    return found


def find(wanted: str | None = None) -> Interpreter:
    """The interpreter for creating environments.

    `wanted` is a command or path given by the developer. Raises DevError if it, or every interpreter
    found, cannot run the apps.
    """
    seen: list[str] = []
    for command in [[wanted]] if wanted else candidates():
        interpreter = ask(command)
        if interpreter is None:
            continue
        if interpreter.suits_the_apps:
            return interpreter
        bits = "" if interpreter.bits == 64 else f", {interpreter.bits}-bit"
        seen.append(f"{interpreter}{bits}")
    what = f"{wanted} is" if wanted else "found only"
    raise DevError(
        f"The apps need a 64-bit Python 3.11 to 3.14; {what} {', '.join(dict.fromkeys(seen)) or 'no Python'}.",
        "Install one (https://www.python.org/downloads/, or `apt install python3.12 python3.12-venv`) and run this\n"
        "again; it is found on PATH and through the py launcher. Or name it: --python PATH",
    )
