"""Keeps the process of the local models while it is wanted: starts it, sheds what is too much, ends it."""

import itertools
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.base import TechnicalError
from adapters.local_config import LocalModelConfig
from adapters.local_messages import LAST_EVENTS, Alive, Cancel, Event, Failed, Job, JobEvent, Lane, Loaded, Started
from adapters.local_process import COMMAND, LocalProcess

logger = logging.getLogger(__name__)
_WATCH_EVERY_S = 0.25
_FINISH_GRACE_S = 3.0
_FAILED_LOADS_BEFORE_PAUSE = 2


@dataclass(slots=True, eq=False)
class Call:
    """A job under way, and who is told what comes of it."""

    id: int
    lane: Lane
    on_event: Callable[[JobEvent], None]
    since: float
    started: bool = False
    left_at: float | None = None

    @property
    def takes_room(self) -> bool:
        """Whether it is computed or waits to be; one whose caller left while it waited is skipped."""
        return self.started or self.left_at is None


@dataclass(slots=True, eq=False)
class _Life:
    """One process from its start to its end."""

    process: LocalProcess
    last_sign: float
    last_use: float
    calls: dict[int, Call] = field(default_factory=dict)
    loaded: set[Lane] = field(default_factory=set)


class LocalSupervisor:
    """Whatever process runs the local models at the moment; safe to use from any thread, never blocks.

    The first job starts it. Every job ends with exactly one of the last events, whatever becomes of the
    process. A process that is idle is ended; one that hangs is killed; the next job starts another.
    """

    def __init__(self, config: LocalModelConfig, command: Sequence[str] = COMMAND) -> None:
        self._config = config
        self._command = command
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._life: _Life | None = None
        self._closed = False
        self._failed_loads: Counter[Lane] = Counter()
        self._not_before: dict[Lane, float] = {}

    @property
    def pid(self) -> int | None:
        """The process that runs now, if any."""
        life = self._life
        return life.process.pid if life is not None else None

    def is_loaded(self, lane: Lane) -> bool:
        """Whether this lane's model is in memory."""
        life = self._life
        return life is not None and lane in life.loaded

    def ask(self, lane: Lane, make: Callable[[int], Job], on_event: Callable[[JobEvent], None]) -> Call:
        """Have a job done; ``on_event`` is told what comes of it, on another thread.

        Raises ``TechnicalError``: ``overloaded`` when as many wait as may, ``local_unavailable`` when
        the model's process has ended while loading it, repeatedly and not long ago.
        """
        with self._lock:
            self._check_open(lane)
            life = self._life = self._life or self._start()
            if sum(call.lane == lane and call.takes_room for call in life.calls.values()) > self._config.max_waiting:
                raise TechnicalError("the local model is busy", reason="overloaded")
            now = time.monotonic()
            call = Call(next(self._ids), lane, on_event, now)
            life.calls[call.id] = call
            life.last_use = now
            life.process.send(make(call.id))
            return call

    def leave(self, call: Call) -> None:
        """Nobody waits for this job any more: it is stopped, and ``on_event`` told nothing more."""
        with self._lock:
            if call.left_at is None:
                call.left_at = time.monotonic()
                if self._life is not None and call.id in self._life.calls:
                    self._life.process.send(Cancel(call.id))

    def close(self, timeout_s: float) -> None:
        """End the process; jobs under way fail. Blocks until it has ended, at most about ``timeout_s``."""
        with self._lock:
            self._closed = True
            life = self._life
        if life is not None:
            life.process.finish()
            if not life.process.wait(timeout_s):
                life.process.kill()
                life.process.wait(timeout_s)
            self._give_up(life, "the backend is stopping")

    def _check_open(self, lane: Lane) -> None:
        if self._closed:
            raise TechnicalError("the backend is stopping", reason="local_unavailable")
        if time.monotonic() < self._not_before.get(lane, -math.inf):
            raise TechnicalError("the local model's process ends while loading it", reason="local_unavailable")

    def _start(self) -> _Life:
        life: _Life
        now = time.monotonic()
        process = LocalProcess(
            self._command, lambda event: self._on_event(life, event), lambda how: self._on_end(life, how)
        )
        life = _Life(process, now, now)
        process.send(self._config)
        process.start()
        threading.Thread(target=self._watch, args=(life,), name="local-models-watch", daemon=True).start()
        return life

    def _on_event(self, life: _Life, event: Event) -> None:
        with self._lock:
            life.last_sign = time.monotonic()
            if isinstance(event, Loaded):
                life.loaded.add(event.lane)
                self._failed_loads[event.lane] = 0
            if isinstance(event, Alive | Loaded):
                return
            call = life.calls.get(event.id)
            if call is None:
                return
            if isinstance(event, Started):
                call.started = True
            if isinstance(event, LAST_EVENTS):
                del life.calls[call.id]
                life.last_use = life.last_sign
        if call.left_at is None:
            call.on_event(event)

    def _on_end(self, life: _Life, how: str) -> None:
        if self._life is life and not self._closed:
            logger.warning("the process of the local models %s", how)
        self._give_up(life, "the local model's process ended while it had this job")

    def _give_up(self, life: _Life, message: str) -> None:
        """Let go of a process: its jobs fail now, the next one starts another. Twice is once."""
        with self._lock:
            if self._life is life:
                self._life = None
            calls = list(life.calls.values())
            life.calls.clear()
            for lane in {call.lane for call in calls} - life.loaded:
                self._failed_loads[lane] += 1
                if self._failed_loads[lane] >= _FAILED_LOADS_BEFORE_PAUSE:
                    self._not_before[lane] = time.monotonic() + self._config.reload_after_s
        for call in calls:
            if call.left_at is None:
                call.on_event(Failed(call.id, message))

    def _watch(self, life: _Life) -> None:
        while not life.process.wait(_WATCH_EVERY_S):
            if self._is_idle(life):
                logger.info("local models released", extra={"idle_s": self._config.idle_s})
                life.process.finish()
                break
            if (trouble := self._trouble(life, time.monotonic())) is not None:
                logger.error("the process of the local models is killed: %s", trouble)
                life.process.kill()
                self._give_up(life, f"the local model was given up: {trouble}")
                return
        if not life.process.wait(_FINISH_GRACE_S):
            life.process.kill()

    def _is_idle(self, life: _Life) -> bool:
        """Tell whether nobody has wanted it for long; then nobody gets it any more."""
        idle_s = self._config.idle_s
        with self._lock:
            if idle_s is None or life.calls or time.monotonic() - life.last_use < idle_s or self._life is not life:
                return False
            self._life = None
            return True

    def _trouble(self, life: _Life, now: float) -> str | None:
        config = self._config
        with self._lock:
            loading = {call.lane for call in life.calls.values()} - life.loaded
            # Importing a model library, from a slow disk above all, may keep Python's lock for long.
            silence_s = config.load_timeout_s if loading or not life.loaded else config.stall_timeout_s
            if now - life.last_sign > silence_s:
                return f"silent for {silence_s:.0f} s"
            for call in life.calls.values():
                if call.started and call.left_at is not None and now - call.left_at > config.cancel_grace_s:
                    return "a job goes on that was cancelled"
                too_long = call.lane in loading and now - call.since > config.load_limit_s
                if too_long and not config.may_download:
                    return f"a model is not loaded after {config.load_limit_s:.0f} s"
        return None
