"""Console output."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import TextIO

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}

_BETWEEN = "   "


class Console:
    """Writes whole lines from any thread, and on a terminal below them one that is drawn again and again."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.interactive = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        old_windows = os.name == "nt" and not (os.environ.get("WT_SESSION") or os.environ.get("ANSICON"))
        self._colours = self._stream.isatty() and "NO_COLOR" not in os.environ and not old_windows
        self._lock = threading.Lock()
        self._status: dict[str, str] = {}
        self._drawn = 0

    def paint(self, text: str, colour: str) -> str:
        """Returns `text` in a colour if the terminal supports colours."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self._colours else text

    def line(self, text: str = "") -> None:
        """Writes one line."""
        with self._lock:
            self._write(self._wiped() + text + "\n" + self._below())

    def status(self, key: str, text: str = "") -> None:
        """Sets one part of the line that is drawn again, or removes it; draws on terminals only."""
        if not self.interactive:
            return
        with self._lock:
            if text:
                self._status[key] = text
            else:
                self._status.pop(key, None)
            self._write(self._wiped() + self._below())

    def _wiped(self) -> str:
        """Characters that erase the drawn line; no escape sequences, which not every terminal knows."""
        drawn, self._drawn = self._drawn, 0
        return f"\r{' ' * drawn}\r" if drawn else ""

    def _below(self) -> str:
        """The line that is drawn again. It must not reach the last column, where terminals begin a new line."""
        parts = list(self._status.values())
        room = shutil.get_terminal_size().columns - 1
        if sum(map(len, parts)) + len(_BETWEEN) * (len(parts) - 1) > room:
            each = (room + len(_BETWEEN)) // len(parts) - len(_BETWEEN)
            parts = [part if len(part) <= each else part[: max(0, each - 3)] + "..." for part in parts]
        text = _BETWEEN.join(parts)
        self._drawn = len(text)
        return text

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            # The reader has closed the pipe (`dev.py up | head`): continue without output.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process


def bar(done: int, total: int, width: int = 20) -> str:
    """A bar such as [#####---------------]."""
    filled = min(width, width * done // total) if total > 0 else 0
    return f"[{'#' * filled}{'-' * (width - filled)}]"
