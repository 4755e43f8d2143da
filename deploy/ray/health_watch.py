"""Health check of a replica: when it may receive requests, and when it must be replaced."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.results import Health

LEAST_PATIENCE_S = 30.0
LOADS_WAITED_FOR = 3
"""Default patience as a multiple of the first load's duration, since a restarted worker loads its model again."""
_LOOK_EVERY_S = 0.1


class NotWell(Exception):
    """The replica's models cannot answer."""


class HealthWatch:
    """Health check for Serve: the first check returns when both models are loaded; later ones raise when a
    worker has failed permanently or has not recovered within ``patience_s``.

    ``patience_s`` defaults to three times the duration of the first load, at least 30 s. The service restarts
    its own workers; Serve replaces the whole replica only if that does not help.
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
        """Return when the service is healthy or may still recover in time; raise ``NotWell`` otherwise."""
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
