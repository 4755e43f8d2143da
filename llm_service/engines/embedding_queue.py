"""Which texts are embedded together: batches by token budget, across requests."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.base import Embedded, FloatMatrix

TokenIds = Sequence[int]
SMALLEST_BUDGET = 128
"""Padded tokens under which splitting a batch costs more than it gains."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One text of one request."""

    request_id: str
    index: int
    token_ids: TokenIds


@dataclass(slots=True)
class _Job:
    request_id: str
    normalize: bool
    waiting: list[BatchItem]
    """Shortest first, so that the longest is taken from the end."""
    vectors: FloatMatrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    missing: int = field(default=0)


class EmbeddingQueue:
    """Requests whose texts wait for a batch.

    Texts of similar length go together, so that little of a batch is padding; requests take turns
    to lead a batch, so that a long one does not hold up a short one.
    """

    def __init__(self, dimension: int, token_budget: int) -> None:
        self._dimension = dimension
        self._token_budget = token_budget
        self._jobs: deque[_Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(
        self, request_id: str, token_ids: Sequence[TokenIds], truncated: Sequence[bool], *, normalize: bool
    ) -> None:
        """Queue a request's texts, as token ids."""
        items = [BatchItem(request_id, index, ids) for index, ids in enumerate(token_ids)]
        self._jobs.append(
            _Job(
                request_id=request_id,
                normalize=normalize,
                waiting=sorted(items, key=lambda item: len(item.token_ids)),
                vectors=np.empty((len(items), self._dimension), dtype=np.float32),
                tokens=tuple(len(ids) for ids in token_ids),
                truncated=tuple(truncated),
                missing=len(items),
            )
        )

    def cancel(self, request_id: str) -> None:
        """Drop a request; unknown ids are ignored."""
        self._jobs = deque(job for job in self._jobs if job.request_id != request_id)

    def next_batches(self, count: int) -> list[list[BatchItem]]:
        """Take up to ``count`` batches of about the same size, to be embedded side by side."""
        waiting = sum(len(item.token_ids) for job in self._jobs for item in job.waiting)
        budget = min(self._token_budget, max(SMALLEST_BUDGET, math.ceil(waiting / count)))
        batches = (self.next_batch(budget) for _ in range(count))
        return [batch for batch in batches if batch]

    def next_batch(self, token_budget: int | None = None) -> list[BatchItem]:
        """Take the texts to embed now: padded to the longest, at most the token budget (one text
        is always taken, however long).
        """
        budget = token_budget or self._token_budget
        batch: list[BatchItem] = []
        longest = 0
        for job in self._jobs:
            while job.waiting and len(job.waiting[-1].token_ids) <= (longest or math.inf):
                longest = longest or len(job.waiting[-1].token_ids)
                if batch and longest * (len(batch) + 1) > budget:
                    break
                batch.append(job.waiting.pop())
        self._jobs.rotate(-1)
        return batch

    def complete(self, batch: Sequence[BatchItem], vectors: FloatMatrix) -> list[Embedded]:
        """Hand in a batch's vectors, shape (texts, dimension); return the requests that are done."""
        jobs = {job.request_id: job for job in self._jobs}
        for item, vector in zip(batch, vectors, strict=True):
            job = jobs.get(item.request_id)
            if job is None:
                continue
            job.vectors[item.index] = vector
            job.missing -= 1
        done = [job for job in self._jobs if job.missing == 0]
        if done:
            self._jobs = deque(job for job in self._jobs if job.missing)
        return [Embedded(job.request_id, _finished(job), job.tokens, job.truncated) for job in done]


def _finished(job: _Job) -> FloatMatrix:
    if not job.normalize:
        return job.vectors
    norms = np.linalg.norm(job.vectors, axis=1, keepdims=True)
    unit: FloatMatrix = job.vectors / np.maximum(norms, 1e-12)
    return unit
