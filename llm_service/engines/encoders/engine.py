"""The engines of encoders: requests become texts of a queue, steps take batches from it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic

import numpy as np

from engines.base import EngineInfo
from engines.encoders.queue import Batch, Encoding, EncodingQueue, Job, R
from engines.encoders.ranking_recipe import Activation
from engines.errors import GenerationFailed
from engines.events import Embedded, Failed, FloatMatrix, LastEvent, Ranked, RequestEvent
from engines.requests import EmbeddingRequest, InputType, RankingRequest, Request

TOKEN_BUDGET = 1024
"""Padded tokens of one batch: larger ones were no faster, and a cancel, or a request that comes in between, waits
for the running batches."""


class Encoder(ABC, Generic[R]):
    """An ``Engine`` that gives ``width`` numbers a text; ``streams`` batches are computed side by side."""

    def __init__(self, info: EngineInfo, *, width: int, streams: int = 1) -> None:
        self.info = info
        self.batch_size = 0
        self._streams = streams
        self._queue: EncodingQueue[R] = EncodingQueue(width, TOKEN_BUDGET)

    @abstractmethod
    def pairs(self, request: R) -> list[tuple[str, str]]:
        """Return what is read for each text: its prompt and itself, or a query and a document."""

    @abstractmethod
    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Tokenize pairs, up to the model's limit."""

    @abstractmethod
    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
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
        asked: R = request  # type: ignore[assignment]  # a worker gets the requests of its role
        self._queue.add(asked, self.tokenize(self.pairs(asked)))

    def cancel(self, request_id: str) -> None:
        """Forget a request; a running batch is finished for the others in it."""
        self._queue.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Compute a batch on each stream. Texts that cannot be computed fail their requests alone."""
        batches = self._queue.next_batches(self._streams)
        self.batch_size = sum(map(len, batches))
        return self._compute(batches)

    def _compute(self, batches: Sequence[Batch[R]]) -> list[RequestEvent]:
        """Compute batches; after a failure each request's texts alone."""
        try:
            computed = self.compute([[job.encodings[index] for job, index in batch] for batch in batches])
        except (RuntimeError, ValueError, LookupError, MemoryError) as error:
            jobs = dict.fromkeys(job for batch in batches for job, _ in batch)
            if len(jobs) > 1:
                alone = ([place for batch in batches for place in batch if place[0] is job] for job in jobs)
                return [event for batch in alone for event in self._compute([batch])]
            (job,) = jobs
            self._queue.cancel(job.request.id)
            return [
                Failed(job.request.id, GenerationFailed(f"the model failed on these texts ({type(error).__name__})"))
            ]
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


class Embedder(Encoder[EmbeddingRequest]):
    """An ``Engine`` for embedding requests; ``compute`` gives vectors before normalisation. ``prompts`` precede texts
    of each input type (``None``: of unknown type).
    """

    def __init__(self, info: EngineInfo, prompts: Mapping[InputType | None, str], *, streams: int = 1) -> None:
        super().__init__(info, width=info.dimension or 0, streams=streams)
        self._prompts = prompts

    def pairs(self, request: EmbeddingRequest) -> list[tuple[str, str]]:
        """Return each text with its prompt."""
        prompt = self._prompts[request.input_type]
        return [(prompt, text) for text in request.texts]

    def finish(self, job: Job[EmbeddingRequest]) -> Embedded:
        """Return the vectors, scaled to length 1 where the request wants it."""
        vectors = job.rows
        if job.request.normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return Embedded(job.request.id, vectors, job.tokens, job.truncated)

    def sample(self, words: int) -> EmbeddingRequest:
        """Return a text to warm up with."""
        return EmbeddingRequest("warm-up", ("water " * words,))


class Reranker(Encoder[RankingRequest]):
    """An ``Engine`` for ranking requests; ``compute`` gives logits, shape (documents, 1)."""

    def __init__(self, info: EngineInfo, activation: Activation, *, streams: int = 1) -> None:
        super().__init__(info, width=1, streams=streams)
        self._activation = activation

    def pairs(self, request: RankingRequest) -> list[tuple[str, str]]:
        """Return each document with the query."""
        return [(request.query, document) for document in request.documents]

    def finish(self, job: Job[RankingRequest]) -> Ranked:
        """Return the scores as ``CrossEncoder.predict`` gives them, or the logits."""
        scores = job.rows[:, 0]
        if self._activation == "sigmoid" and not job.request.raw:
            # Half the tangent of half the logit: no overflow at either end.
            scores = np.float32(0.5) * (np.float32(1) + np.tanh(np.float32(0.5) * scores))
        return Ranked(job.request.id, scores, job.tokens, job.truncated)

    def sample(self, words: int) -> RankingRequest:
        """Return a pair to warm up with."""
        return RankingRequest("warm-up", "water", ("water " * words,))
