"""Cross-encoders with sentence-transformers: what OpenVINO's reranker does not serve, and CUDA."""

from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from config.settings import Settings
from engines.base import EngineInfo, FloatMatrix, RankingRequest
from engines.encoders.queue import BatchItem, Encoding
from engines.encoders.sentence_transformers import load_model
from engines.rerankers.engine import QueuedReranker
from engines.rerankers.recipe import read_recipe, reranker_fingerprint
from models.artifacts import ModelArtifact


class SentenceTransformersReranker(QueuedReranker):
    """An ``Engine`` for ranking requests, in float32, on the first GPU or else the CPU."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        model = load_model(CrossEncoder, artifact, settings)
        self._model = model
        super().__init__(
            EngineInfo(
                backend="sentence_transformers",
                model=artifact.model,
                requested_model=artifact.requested_model,
                artifact=artifact.format,
                device=str(model.device),
                context_length=recipe.max_tokens,
                fingerprint=reranker_fingerprint(artifact.path),
            ),
            recipe.activation,
        )

    def encode(self, request: RankingRequest) -> list[Encoding]:
        """Tokenize the pairs; token ids order and count, and the library reads the texts itself."""
        pairs = [(request.query, document) for document in request.documents]
        every = self._model.tokenizer([list(pair) for pair in pairs], verbose=False)["input_ids"]
        limit = self.info.context_length
        return [Encoding(pair, ids[:limit], truncated=len(ids) > limit) for pair, ids in zip(pairs, every, strict=True)]

    def compute(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Score one batch after another."""
        return [self._logits(batch) for batch in batches]

    def _logits(self, batch: Sequence[BatchItem]) -> FloatMatrix:
        pairs = [item.encoding.content for item in batch]
        logits = self._model.predict(
            pairs, batch_size=len(batch), activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        return np.asarray(logits, dtype=np.float32).reshape(-1, 1)
