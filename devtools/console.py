"""What the developer sees: lines, and on a terminal one status line with a spinner beneath them."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from typing import TextIO

_SPINNER = "|/-\\"
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}
_HEARTBEAT_S = 30.0


def _has_colours(stream: TextIO) -> bool:
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return False
    return os.name != "nt" or bool(os.environ.get("WT_SESSION") or os.environ.get("ANSICON"))


class Console:
    """Writes whole lines from any thread, and keeps a status line below them on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.interactive = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = _has_colours(self._stream)
        self._lock = threading.Lock()
        self._status = ""

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour where the terminal shows colours."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self._colours else text

    def line(self, text: str = "") -> None:
        """Writes one line above the status line."""
        with self._lock:
            self._write(self._wipe() + text + "\n" + self._status)

    def status(self, text: str) -> None:
        """Replaces the status line; does nothing where the output is not a terminal."""
        if not self.interactive:
            return
        with self._lock:
            wipe = self._wipe()
            self._status = text[: max(20, shutil.get_terminal_size().columns - 1)]
            self._write(wipe + self._status)

    def _wipe(self) -> str:
        return "\r" + " " * len(self._status) + "\r" if self._status else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            # The reader has gone (`dev.py up | head`); the work goes on without a voice.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process


class Progress:
    """Phases of one or several tasks running at the same time.

    On a terminal they share the status line. Elsewhere each finished phase is a line, and a task
    that stays silent for half a minute says what it is doing, so that a build log never looks dead.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, tuple[str, float, str]] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._last_voice = time.monotonic()

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._console.status("")

    def phase(self, task: str, what: str) -> None:
        """Begins a phase of a task."""
        with self._lock:
            self._tasks[task] = (what, time.monotonic(), "")

    def detail(self, task: str, text: str) -> None:
        """Says how far the present phase is, for instance "41 of 96"."""
        with self._lock:
            if task in self._tasks:
                what, started, _ = self._tasks[task]
                self._tasks[task] = (what, started, text)

    def end(self, task: str) -> None:
        """Ends the present phase and says how long it took."""
        with self._lock:
            what, started, _ = self._tasks.pop(task)
        self._last_voice = time.monotonic()
        self._console.line(f"{task}: {what}: done in {time.monotonic() - started:.0f} s")

    def _tick(self) -> None:
        beat = 0
        while not self._done.wait(0.2):
            beat += 1
            with self._lock:
                parts = [
                    f"{task}: {what}{' ' + detail if detail else ''} ({time.monotonic() - started:.0f} s)"
                    for task, (what, started, detail) in self._tasks.items()
                ]
            text = " | ".join(parts)
            if self._console.interactive:
                self._console.status(f"{_SPINNER[beat % len(_SPINNER)]} {text}" if text else "")
            elif text and time.monotonic() - self._last_voice > _HEARTBEAT_S:
                self._last_voice = time.monotonic()
                self._console.line(f"... {text}")
