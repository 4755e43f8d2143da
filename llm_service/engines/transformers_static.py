"""Static batches, one after another, in one thread."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence

import torch

from engines.base import EngineBroken, RequestEvent
from engines.request_ids import http_request_of
from engines.transformers_batch import StaticBatch
from engines.transformers_loading import LoadedModel
from engines.transformers_rows import Row

GATHER_S = 0.01
"""How long the first request of a batch waits for others that were sent at the same moment."""
CLOSE_S = 30.0

logger = logging.getLogger(__name__)


class StaticRunner:
    """A ``Runner`` for CPUs, where the library's continuous batching is slower.

    The rows that wait when a batch begins are its rows, up to ``max_batch`` and to the memory for their
    KV cache. One that comes later waits until the batch has ended, so a long answer delays it, and so
    does one that takes the place of a cancelled row while others of its batch go on. With
    ``seeded_alone`` a row that has a seed is a batch of its own.
    """

    def __init__(self, loaded: LoadedModel, *, max_batch: int, seeded_alone: bool = False) -> None:
        self._loaded = loaded
        self.context_length = loaded.context_length
        self._max_batch = max_batch
        self._seeded_alone = seeded_alone
        self._waiting: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._batch: list[Row] = []
        self._outbox: queue.SimpleQueue[tuple[Row, RequestEvent] | EngineBroken] = queue.SimpleQueue()
        self._broken: EngineBroken | None = None
        self._thread = threading.Thread(target=self._serve, name="transformers-generate", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Queue a row for the next batch."""
        with self._changed:
            self._waiting.append(row)
            self._changed.notify()

    def cancel(self, row: Row) -> None:
        """Take a row out of the queue, or end it after the pass under way."""
        row.cancelled = True
        with self._changed:
            if row in self._waiting:
                self._waiting.remove(row)

    def collect(self, timeout_s: float) -> Sequence[tuple[Row, RequestEvent]]:
        """Return what the batch under way has produced."""
        if self._broken is not None:
            raise self._broken
        collected: list[tuple[Row, RequestEvent]] = []
        try:
            item = self._outbox.get(timeout=timeout_s)
            while True:
                if isinstance(item, EngineBroken):
                    self._broken = item
                    raise item
                collected.append(item)
                item = self._outbox.get_nowait()
        except queue.Empty:
            return collected

    @property
    def batch_size(self) -> int:
        """Rows of the batch under way that have not ended."""
        return sum(not (row.ended or row.cancelled) for row in self._batch)

    @property
    def kv_cache_usage(self) -> None:
        """Each batch has a cache of its own size."""
        return

    def close(self) -> None:
        """End the thread, which may finish the pass it computes."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=CLOSE_S)

    def _serve(self) -> None:
        while rows := self._next_rows():
            self._batch = rows
            batch = StaticBatch(self._loaded, rows, emit=lambda row, event: self._outbox.put((row, event)))
            try:
                batch.run()
            except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
                # After these the GPU's context is full or lost: only a new process helps.
                logger.exception("the accelerator failed")
                self._outbox.put(EngineBroken(f"the accelerator failed ({type(error).__name__})"))
                return
            except Exception as error:
                # The edge of this thread: the next batch may well work.
                concerned = [http_request_of(row.request.id) for row in rows]
                logger.exception("a batch of %d requests failed", len(rows), extra={"request_ids": concerned})
                batch.fail(f"generation failed ({type(error).__name__})")

    def _next_rows(self) -> list[Row]:
        """Wait for requests and take the next batch; an empty list when the runner is closed."""
        with self._changed:
            while not self._closed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(lambda: len(self._waiting) >= self._max_batch or self._closed, GATHER_S)
                rows = self._take_waiting()
                if rows and not self._closed:
                    return rows
        return []

    def _take_waiting(self) -> list[Row]:
        rows: list[Row] = []
        longest_prompt = longest_answer = 0
        while self._waiting and len(rows) < self._max_batch:
            longest_prompt = max(longest_prompt, len(self._waiting[0].prompt_ids))
            longest_answer = max(longest_answer, self._waiting[0].max_new_tokens)
            if rows and (self._goes_alone(rows[0]) or self._goes_alone(self._waiting[0])):
                break
            # Every row takes as much of the KV cache as the longest one.
            if rows and (len(rows) + 1) * (longest_prompt + longest_answer) > self._loaded.batch_tokens:
                break
            rows.append(self._waiting.popleft())
        return rows

    def _goes_alone(self, row: Row) -> bool:
        return self._seeded_alone and row.request.sampling.seed is not None
