"""Encoders on sentence-transformers, in float32: for CUDA, and for models that OpenVINO does not support here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from config.settings import Settings
from engines.base import ModelLoadError
from engines.encoders import ranking_recipe
from engines.encoders.embedding_recipe import embedding_fingerprints, read_recipe
from engines.encoders.engine import Embedder, Reranker
from engines.encoders.queue import Encoding
from engines.events import FloatMatrix
from engines.transformers.loading_errors import LOADING_ERRORS, loading_advice
from models.artifacts import ModelArtifact
from models.fingerprint import model_fingerprint

library: Any = transformers
"""Not checked by types: its annotations are partial."""


class SentenceTransformersEmbedder(Embedder):
    """Batches go through the library's own ``encode``, whatever modules and prompts the model has."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        fingerprints = embedding_fingerprints(artifact.path)
        self._model = _load(SentenceTransformer, artifact, settings)
        dimension = int(self._model.get_embedding_dimension())
        # Whether vectors are normalised is each request's own.
        while isinstance(self._model[-1], Normalize):
            self._model.pop(-1)
        info = artifact.loaded(
            "sentence_transformers",
            device=str(self._model.device),
            context_length=int(self._model.max_seq_length),
            fingerprint=fingerprints.plain,
            search_fingerprint=fingerprints.search,
            dimension=dimension,
        )
        super().__init__(info, recipe.prompts)

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Tokenize each text after its prompt."""
        every = self._model.tokenizer([prompt + text for prompt, text in pairs], verbose=False)["input_ids"]
        return [Encoding.counted(*read, self.info.context_length) for read in zip(pairs, every, strict=True)]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Embed one batch after another."""
        return [self._vectors(batch) for batch in batches]

    def _vectors(self, batch: Sequence[Encoding]) -> FloatMatrix:
        vectors = np.empty((len(batch), self.info.dimension or 0), dtype=np.float32)
        # The library must know the prompt: some models leave its tokens out of the pooling.
        by_prompt: dict[str, list[int]] = {}
        for row, item in enumerate(batch):
            by_prompt.setdefault(item.content[0], []).append(row)
        for prompt, rows in by_prompt.items():
            texts = [batch[row].content[1] for row in rows]
            vectors[rows] = self._model.encode(texts, prompt=prompt, batch_size=len(rows), show_progress_bar=False)
        return vectors


class SentenceTransformersReranker(Reranker):
    """Batches go through the library's own ``predict``."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = ranking_recipe.read_recipe(artifact.path)
        self._model = _load(CrossEncoder, artifact, settings)
        info = artifact.loaded(
            "sentence_transformers",
            device=str(self._model.device),
            context_length=recipe.max_tokens,
            fingerprint=model_fingerprint(artifact.path),
        )
        super().__init__(info, recipe.activation)

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Tokenize each document together with the query."""
        every = self._model.tokenizer([list(pair) for pair in pairs], verbose=False)["input_ids"]
        return [Encoding.counted(*read, self.info.context_length) for read in zip(pairs, every, strict=True)]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Score one batch after another."""
        return [self._logits(batch) for batch in batches]

    def _logits(self, batch: Sequence[Encoding]) -> FloatMatrix:
        pairs = [item.content for item in batch]
        logits = self._model.predict(
            pairs, batch_size=len(batch), activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        return np.asarray(logits, dtype=np.float32).reshape(-1, 1)


def _load(kind: Callable[..., Any], artifact: ModelArtifact, settings: Settings) -> Any:
    """Return a model of class ``kind`` on the first GPU or else the CPU."""
    library.utils.logging.disable_progress_bar()
    try:
        return kind(
            str(artifact.path),
            device="cpu" if settings.llm_device_map == "cpu" else None,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    except LOADING_ERRORS as error:
        raise ModelLoadError(loading_advice("sentence-transformers", artifact.model, artifact.path, error)) from error
