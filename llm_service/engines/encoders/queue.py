"""Batching of texts across requests, by token budget."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeAlias, TypeVar

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

    @classmethod
    def counted(cls, content: tuple[str, str], ids: Sequence[int], limit: int) -> Self:
        """Return the encoding for an engine that reads the texts itself: its tokens order and count."""
        return cls(content, ids[:limit], truncated=len(ids) > limit)


@dataclass(slots=True, eq=False)
class Job(Generic[R]):
    """A request, and ``rows``, float32 of shape (texts, width), which its batches fill in."""

    request: R
    encodings: Sequence[Encoding]
    rows: FloatMatrix
    waiting: list[int]
    """Texts that are in no batch yet, shortest first: the longest is taken from the end."""
    missing: int

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of each text."""
        return tuple(len(encoding.ids) for encoding in self.encodings)

    @property
    def truncated(self) -> tuple[bool, ...]:
        """Whether each text was cut."""
        return tuple(encoding.truncated for encoding in self.encodings)


Batch: TypeAlias = list[tuple[Job[R], int]]
"""Texts that are computed together: each by its request and its place there."""


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
        rows = np.empty((len(encodings), self._width), dtype=np.float32)
        waiting = sorted(range(len(encodings)), key=lambda index: len(encodings[index].ids))
        self._jobs.append(Job(request, encodings, rows, waiting, missing=len(encodings)))

    def cancel(self, request_id: str) -> None:
        """Drop a request; unknown ids are ignored."""
        self._jobs = deque(job for job in self._jobs if job.request.id != request_id)

    def clear(self) -> None:
        """Drop all requests."""
        self._jobs.clear()

    def next_batches(self, count: int) -> list[Batch[R]]:
        """Take up to ``count`` batches of about the same size, to be computed side by side."""
        waiting = sum(len(job.encodings[index].ids) for job in self._jobs for index in job.waiting)
        budget = min(self._token_budget, max(SMALLEST_BUDGET, math.ceil(waiting / count)))
        batches = (self._next_batch(budget) for _ in range(count))
        return [batch for batch in batches if batch]

    def complete(self, batch: Batch[R], rows: FloatMatrix) -> list[Job[R]]:
        """Hand in a batch's rows, shape (texts, width); return the requests that are done."""
        for (job, index), row in zip(batch, rows, strict=True):
            job.rows[index] = row
            job.missing -= 1
        done = [job for job in self._jobs if job.missing == 0]
        self._jobs = deque(job for job in self._jobs if job.missing)
        return done

    def _next_batch(self, budget: int) -> Batch[R]:
        """Take the texts to compute now: padded to the longest, at most the budget (one text is always taken)."""
        batch: Batch[R] = []
        longest = 0
        for job in self._jobs:
            while job.waiting and (length := len(job.encodings[job.waiting[-1]].ids)) <= (longest or math.inf):
                longest = longest or length
                if batch and longest * (len(batch) + 1) > budget:
                    break
                batch.append((job, job.waiting.pop()))
        self._jobs.rotate(-1)
        return batch
