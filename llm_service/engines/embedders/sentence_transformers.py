"""Sentence embeddings with sentence-transformers: what OpenVINO's embedder does not serve, and CUDA."""

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from config.settings import Settings
from engines.base import EngineInfo, FloatMatrix
from engines.embedders.engine import QueuedEmbedder
from engines.embedders.recipe import embedding_fingerprints, read_recipe
from engines.encoders.queue import BatchItem
from engines.encoders.sentence_transformers import load_model
from models.artifacts import ModelArtifact


class SentenceTransformersEmbedder(QueuedEmbedder):
    """An ``Engine`` for embedding requests, in float32, on the first GPU or else the CPU.

    Batches go through the library's own ``encode``, whatever modules and prompts the model has.
    """

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        fingerprints = embedding_fingerprints(artifact.path)
        model = load_model(SentenceTransformer, artifact, settings)
        self._model = model
        dimension = int(model.get_embedding_dimension())
        # Whether vectors are normalised is each request's own.
        while isinstance(self._model[-1], Normalize):
            self._model.pop(-1)
        super().__init__(
            EngineInfo(
                backend="sentence_transformers",
                model=artifact.model,
                requested_model=artifact.requested_model,
                artifact=artifact.format,
                device=str(self._model.device),
                context_length=int(self._model.max_seq_length),
                fingerprint=fingerprints.plain,
                search_fingerprint=fingerprints.search,
                dimension=dimension,
            ),
            recipe,
        )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids; they order and count, and the library reads the texts itself."""
        ids: list[list[int]] = self._model.tokenizer(list(texts), verbose=False)["input_ids"]
        return ids

    def compute(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Embed one batch after another."""
        return [self._vectors(batch) for batch in batches]

    def _vectors(self, batch: Sequence[BatchItem]) -> FloatMatrix:
        vectors = np.empty((len(batch), self.info.dimension or 0), dtype=np.float32)
        # The library must know the prompt: some models leave its tokens out of the pooling.
        by_prompt: dict[str, list[int]] = {}
        for row, item in enumerate(batch):
            by_prompt.setdefault(item.encoding.content[0], []).append(row)
        for prompt, rows in by_prompt.items():
            texts = [batch[row].encoding.content[1] for row in rows]
            vectors[rows] = self._model.encode(texts, prompt=prompt, batch_size=len(rows), show_progress_bar=False)
        return vectors
