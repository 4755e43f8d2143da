"""The engine of an encoder: requests become texts of a queue, steps take batches from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

from engines.base import EngineInfo, Failed, FloatMatrix, LastEvent, Request, RequestEvent
from engines.encoders.queue import BatchItem, Encoding, EncodingQueue, Job, R
from engines.errors import GenerationFailed

TOKEN_BUDGET = 1024
"""Padded tokens of one batch: larger ones were no faster, and a cancel, or a request that comes in between, waits
for the batches under way."""


class QueuedEncoder(ABC, Generic[R]):
    """An ``Engine`` that gives ``width`` numbers a text; ``streams`` batches are computed side by side."""

    kind: type[R]
    """Requests that it takes."""

    def __init__(self, info: EngineInfo, *, width: int, streams: int = 1) -> None:
        self.info = info
        self.batch_size = 0
        self._streams = streams
        self._queue: EncodingQueue[R] = EncodingQueue(width, TOKEN_BUDGET)

    @abstractmethod
    def encode(self, request: R) -> list[Encoding]:
        """Tokenize the texts of a request."""

    @abstractmethod
    def compute(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Compute a batch a stream: for each the rows, shape (texts, width)."""

    @abstractmethod
    def finish(self, job: Job[R]) -> LastEvent:
        """Return the answer to a request whose rows are computed."""

    @abstractmethod
    def sample(self, words: int) -> R:
        """Return a request of one text of about ``words`` words, for the warm-up."""

    def warm_up(self) -> None:
        """Compute a short and a longer text on each stream."""
        for words in (6, 22):
            self.submit(self.sample(words))
            while self.running:
                self.step()

    def submit(self, request: Request) -> None:
        """Tokenize the texts and queue them."""
        assert isinstance(request, self.kind)
        self._queue.add(request, self.encode(request))

    def cancel(self, request_id: str) -> None:
        """Forget a request; a batch under way is finished for the others in it."""
        self._queue.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Compute a batch on each stream. Texts that cannot be computed fail their requests alone."""
        batches = self._queue.next_batches(self._streams)
        self.batch_size = sum(map(len, batches))
        try:
            computed = self.compute(batches)
        except (RuntimeError, ValueError, LookupError, MemoryError) as error:
            ids = {item.request_id for batch in batches for item in batch}
            for request_id in ids:
                self._queue.cancel(request_id)
            failure = GenerationFailed(f"the model failed on these texts ({type(error).__name__})")
            return [Failed(request_id, failure) for request_id in sorted(ids)]
        pairs = zip(batches, computed, strict=True)
        return [self.finish(job) for batch, rows in pairs for job in self._queue.complete(batch, rows)]

    @property
    def running(self) -> int:
        """Requests with texts still to compute."""
        return len(self._queue)

    @property
    def kv_cache_usage(self) -> None:
        """There is none."""
        return

    def close(self) -> None:
        """Forget all requests; the process ends with the model."""
        self._queue.clear()
