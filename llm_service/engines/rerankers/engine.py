"""What rerankers have in common: pairs, and scores from logits."""

import numpy as np

from engines.base import EngineInfo, Ranked, RankingRequest
from engines.encoders.engine import QueuedEncoder
from engines.encoders.queue import Job
from engines.rerankers.recipe import Activation


class QueuedReranker(QueuedEncoder[RankingRequest]):
    """An ``Engine`` for ranking requests; ``compute`` gives logits, shape (documents, 1)."""

    kind = RankingRequest

    def __init__(self, info: EngineInfo, activation: Activation, *, streams: int = 1) -> None:
        super().__init__(info, width=1, streams=streams)
        self._activation = activation

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
