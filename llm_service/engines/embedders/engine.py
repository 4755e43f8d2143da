"""What embedders have in common: limits, vectors, fingerprints."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from engines.base import Embedded, EmbeddingRequest, EngineInfo
from engines.embedders.recipe import Recipe
from engines.encoders.engine import QueuedEncoder
from engines.encoders.queue import Encoding, Job


class QueuedEmbedder(QueuedEncoder[EmbeddingRequest]):
    """An ``Engine`` for embedding requests; ``compute`` gives vectors before normalisation."""

    kind = EmbeddingRequest

    def __init__(self, info: EngineInfo, recipe: Recipe, *, streams: int = 1) -> None:
        super().__init__(info, width=info.dimension or 0, streams=streams)
        self._recipe = recipe

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, those beyond the limit included."""

    def encode(self, request: EmbeddingRequest) -> list[Encoding]:
        """Tokenize the texts, each after its prompt."""
        limit = self.info.context_length
        prompt = self._recipe.prompts[request.input_type]
        every = self.tokenize([prompt + text for text in request.texts])
        # Truncation keeps the closing special token, as sentence-transformers does.
        read = [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in every]
        return [
            Encoding((prompt, text), kept, truncated=len(ids) > limit)
            for text, kept, ids in zip(request.texts, read, every, strict=True)
        ]

    def finish(self, job: Job[EmbeddingRequest]) -> Embedded:
        """Return the vectors, scaled to length 1 where the request wants it."""
        vectors = job.rows
        if job.request.normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return Embedded(job.request.id, vectors, job.tokens, job.truncated)

    def sample(self, words: int) -> EmbeddingRequest:
        """Return a text to warm up with."""
        return EmbeddingRequest("warm-up", ("water " * words,))
