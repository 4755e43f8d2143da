"""Health check of a replica: when it may receive requests, and when it must be replaced."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.worker import Role, Worker

LEAST_PATIENCE_S = 30.0
LOADS_WAITED_FOR = 3
"""Default patience as a multiple of the first load's duration, since a restarted worker loads its model again."""
_LOOK_EVERY_S = 0.1


class NotWell(Exception):
    """The replica's models cannot answer."""


class HealthWatch:
    """Health check for Serve: the first check returns when all models are loaded; later ones raise when a
    worker has failed permanently or has not recovered within ``patience_s``.

    ``patience_s`` defaults to three times the duration of the first load, at least 30 s. The service restarts
    its own workers; Serve replaces the whole replica only if that does not help.
    """

    def __init__(
        self,
        workers: "Mapping[Role, Worker]",
        load_timeout_s: float,
        patience_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._load_timeout_s = load_timeout_s
        self._patience_s = patience_s
        self._clock = clock
        self._was_ready = False
        self._ill_since: float | None = None

    async def check(self) -> None:
        """Return when the service is healthy or may still recover in time; raise ``NotWell`` otherwise."""
        if not self._was_ready:
            await self._loaded()
            return
        if self._all_ready():
            self._ill_since = None
            return
        if self._ill_since is None:
            self._ill_since = self._clock()
        away_s = self._clock() - self._ill_since
        if self._patience_s is None or away_s > self._patience_s:
            raise NotWell(f"a worker has been away for {away_s:.0f} s: {self._said()}")

    async def _loaded(self) -> None:
        started = self._clock()
        while not self._all_ready():
            if self._clock() - started > self._load_timeout_s:
                raise NotWell(f"not loaded within {self._load_timeout_s:.0f} s: {self._said()}")
            await asyncio.sleep(_LOOK_EVERY_S)
        if self._patience_s is None:
            self._patience_s = max(LEAST_PATIENCE_S, LOADS_WAITED_FOR * (self._clock() - started))
        self._was_ready = True

    def _all_ready(self) -> bool:
        """Whether every worker is ready. Raises ``NotWell`` when one can never be."""
        states = {worker.state for worker in self._workers.values()}
        if {"failed", "stopped"} & states:
            raise NotWell(self._said())
        return states == {"ready"}

    def _said(self) -> str:
        reasons = [worker.last_error for worker in self._workers.values() if worker.last_error]
        states = ", ".join(f"{role} {worker.state}" for role, worker in self._workers.items())
        return f"{states} ({reasons[0]})" if reasons else states
