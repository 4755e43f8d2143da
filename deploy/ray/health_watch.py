"""When a replica may be given requests, and when it has to be replaced."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.results import Health

LEAST_PATIENCE_S = 30.0
LOADS_WAITED_FOR = 3
"""A worker that comes back needs its load again: so many times as long as the first one took is waited for."""
_LOOK_EVERY_S = 0.1


class NotWell(Exception):
    """The replica's models cannot answer."""


class HealthWatch:
    """Reads the service's health as Serve wants it: the first check returns when both models are loaded,
    later ones raise when a worker has failed for good, or has not come back within ``patience_s``.

    Without ``patience_s`` it is three times as long as the first load took, and half a minute at least.
    A service replaces its own workers; Serve's replacing the whole replica is for when that did not help.
    """

    def __init__(
        self,
        health: "Callable[[], Health]",
        load_timeout_s: float,
        patience_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._load_timeout_s = load_timeout_s
        self._patience_s = patience_s
        self._clock = clock
        self._was_ready = False
        self._ill_since: float | None = None

    async def check(self) -> None:
        """Return when all is well or will be soon; raise ``NotWell`` otherwise."""
        if not self._was_ready:
            await self._loaded()
            return
        health = self._health()
        if health.status in ("healthy", "degraded"):
            self._ill_since = None
            return
        self._give_up_if_over(health)
        if self._ill_since is None:
            self._ill_since = self._clock()
        away_s = self._clock() - self._ill_since
        if self._patience_s is None or away_s > self._patience_s:
            raise NotWell(f"a worker has been away for {away_s:.0f} s: {_said(health)}")

    async def _loaded(self) -> None:
        started = self._clock()
        while (health := self._health()).status not in ("healthy", "degraded"):
            self._give_up_if_over(health)
            if self._clock() - started > self._load_timeout_s:
                raise NotWell(f"not loaded within {self._load_timeout_s:.0f} s: {_said(health)}")
            await asyncio.sleep(_LOOK_EVERY_S)
        if self._patience_s is None:
            self._patience_s = max(LEAST_PATIENCE_S, LOADS_WAITED_FOR * (self._clock() - started))
        self._was_ready = True

    @staticmethod
    def _give_up_if_over(health: "Health") -> None:
        if {"failed", "stopped"} & {health.generator, health.embedder}:
            raise NotWell(_said(health))


def _said(health: "Health") -> str:
    because = f" ({health.last_error})" if health.last_error else ""
    return f"generator {health.generator}, embedder {health.embedder}{because}"
