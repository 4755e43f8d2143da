"""Progress lines for the terminal, taken from a service's log; the rest stays in the log file."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from devtools.console import Console, bar
from devtools.layout import App

_TEXT = re.compile(r"\S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\S+ (\S+): (.*)")
_FIELD = re.compile(r" [a-z_]+=")
# Whose warnings are about the service as a whole: others are about one request, or a library's.
_WARNERS = (
    *("llm_service", "workers", "models", "startup", "service_kit.keys", "adapters.postgres"),
    *("adapters.local.app", "observability"),
)
_ROLES = {"generator": "language model", "embedder": "embedding model", "reranker": "ranking model"}


class Entry(NamedTuple):
    """One log line: its level in capitals, the logger and the event."""

    level: str
    logger: str
    event: str


def parse(line: str) -> Entry | None:
    """A log line in either of the services' forms, JSON and text; None for any other line."""
    found = _TEXT.fullmatch(line)
    if found:
        level, logger, event = found.groups()
        return Entry(level, logger, _FIELD.split(event)[0])
    if not line.startswith('{"timestamp"'):
        return None
    try:
        fields = json.loads(line)
        return Entry(str(fields["level"]).upper(), str(fields["logger"]), str(fields["event"]))
    except (ValueError, KeyError):
        return None


def _short(path: Path) -> Path:
    """A path as the developer would type it here."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


class Narrator:
    """Reports what one service is doing. `doing` is for a line that is drawn again while the service starts."""

    def __init__(self, app: App, console: Console, log: Path) -> None:
        self.doing = "starting"
        self._app = app
        self._console = console
        self._log = log
        self._warned: set[str] = set()

    def restart(self) -> None:
        """Starts over for another process of the service."""
        self.doing = "starting"
        self._warned.clear()

    def read(self, line: str) -> None:
        """Takes one line of the log."""
        entry = parse(line)
        if entry is None:
            return
        if entry.level in ("ERROR", "CRITICAL") or (entry.level == "WARNING" and entry.logger.startswith(_WARNERS)):
            self._warn(entry)
        elif entry.logger == "worker" and entry.event.startswith("loading "):
            self.doing = entry.event
        elif entry.logger == "models.hub" and entry.event.startswith("downloading "):
            self.doing = "fetching " + entry.event.removeprefix("downloading ").partition(" at ")[0]
            self._console.line(f"{self._app.name}: {self.doing}")
        elif entry.logger == "models.download" and (found := re.fullmatch(r"(.*): (\d+) of (\d+) MB", entry.event)):
            what, done, total = found[1], int(found[2]), int(found[3])
            self.doing = f"fetching {what} {bar(done, total)} {done} of {total} MB"
        elif entry.logger.startswith("workers.") and (found := re.match(r"(\w+) ready: (.*)", entry.event)):
            self._console.line(f"{self._app.name}: {_ROLES.get(found[1], found[1])} ready: {found[2]}")
        elif entry.logger == "startup":
            self.doing = entry.event

    def _warn(self, entry: Entry) -> None:
        """Prints each warning once; repetitions are in the log."""
        if entry.event in self._warned:
            return
        self._warned.add(entry.event)
        serious = entry.level != "WARNING"
        word = self._console.paint(entry.level.lower(), "red" if serious else "yellow")
        place = f" (log: {_short(self._log)})" if serious or entry.logger.startswith("workers") else ""
        self._console.line(f"{self._app.name}: {word}: {entry.event}{place}")
