"""Batching of texts across requests, by token budget."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from engines.events import FloatMatrix
from engines.requests import EmbeddingRequest, RankingRequest

SMALLEST_BUDGET = 128
"""Padded tokens under which splitting a batch costs more than it gains."""

R = TypeVar("R", EmbeddingRequest, RankingRequest)


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a model reads of a text, or of a pair of texts.

    Attributes:
        content: prompt and text, or query and document.
        ids: token ids, special tokens included, up to the model's limit.
        types: for each token which of a pair it belongs to; empty: all to the first.
        truncated: something was cut at the limit.

    """

    content: tuple[str, str]
    ids: Sequence[int]
    types: Sequence[int] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One text of one request."""

    request_id: str
    index: int
    encoding: Encoding

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.encoding.ids)


@dataclass(slots=True)
class Job(Generic[R]):
    """A request, and ``rows``, float32 of shape (texts, width), which its batches fill in."""

    request: R
    waiting: list[BatchItem]
    """Shortest first: the longest is taken from the end."""
    rows: FloatMatrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    missing: int


class EncodingQueue(Generic[R]):
    """Requests whose texts wait for a batch.

    Texts of similar length go together, so that little of a batch is padding; requests take turns
    to lead a batch, so that a long one does not hold up a short one.
    """

    def __init__(self, width: int, token_budget: int) -> None:
        self._width = width
        self._token_budget = token_budget
        self._jobs: deque[Job[R]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, request: R, encodings: Sequence[Encoding]) -> None:
        """Queue a request's texts."""
        items = [BatchItem(request.id, at, encoding) for at, encoding in enumerate(encodings)]
        rows = np.empty((len(items), self._width), dtype=np.float32)
        tokens = tuple(item.length for item in items)
        truncated = tuple(encoding.truncated for encoding in encodings)
        items.sort(key=lambda item: item.length)
        self._jobs.append(Job(request, items, rows, tokens, truncated, missing=len(items)))

    def cancel(self, request_id: str) -> None:
        """Drop a request; unknown ids are ignored."""
        self._jobs = deque(job for job in self._jobs if job.request.id != request_id)

    def clear(self) -> None:
        """Drop all requests."""
        self._jobs.clear()

    def next_batches(self, count: int) -> list[list[BatchItem]]:
        """Take up to ``count`` batches of about the same size, to be computed side by side."""
        waiting = sum(item.length for job in self._jobs for item in job.waiting)
        budget = min(self._token_budget, max(SMALLEST_BUDGET, math.ceil(waiting / count)))
        batches = (self._next_batch(budget) for _ in range(count))
        return [batch for batch in batches if batch]

    def complete(self, batch: Sequence[BatchItem], rows: FloatMatrix) -> list[Job[R]]:
        """Hand in a batch's rows, shape (texts, width); return the requests that are done."""
        jobs = {job.request.id: job for job in self._jobs}
        for item, row in zip(batch, rows, strict=True):
            if job := jobs.get(item.request_id):
                job.rows[item.index] = row
                job.missing -= 1
        done = [job for job in self._jobs if job.missing == 0]
        self._jobs = deque(job for job in self._jobs if job.missing)
        return done

    def _next_batch(self, budget: int) -> list[BatchItem]:
        """Take the texts to compute now: padded to the longest, at most the budget (one text is always taken)."""
        batch: list[BatchItem] = []
        longest = 0
        for job in self._jobs:
            while job.waiting and job.waiting[-1].length <= (longest or math.inf):
                longest = longest or job.waiting[-1].length
                if batch and longest * (len(batch) + 1) > budget:
                    break
                batch.append(job.waiting.pop())
        self._jobs.rotate(-1)
        return batch
