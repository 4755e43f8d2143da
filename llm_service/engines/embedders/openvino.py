"""Sentence embeddings on OpenVINO: mean pooling over a BERT encoder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from config.settings import Settings
from engines.base import EngineInfo, FloatMatrix
from engines.embedders.engine import QueuedEmbedder
from engines.embedders.recipe import embedding_fingerprints, read_recipe
from engines.encoders.export import ensure_exported
from engines.encoders.openvino import EncoderInference, IdMatrix, Padding
from engines.encoders.queue import BatchItem
from models.artifacts import ModelArtifact


class OpenVinoEmbedder(QueuedEmbedder):
    """An ``Engine`` for embedding requests."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        fingerprints = embedding_fingerprints(artifact.path)
        encoder = recipe.modules[0][1]
        exported = ensure_exported("embedding", encoder, settings.model_cache_dir, fingerprints.plain)
        self._inference = EncoderInference(exported, Padding(0, recipe.max_tokens), bfloat16=True)
        self._tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        super().__init__(
            EngineInfo(
                backend="openvino",
                model=artifact.model,
                requested_model=artifact.requested_model,
                artifact=artifact.format,
                device="cpu",
                context_length=recipe.max_tokens,
                fingerprint=fingerprints.plain,
                search_fingerprint=fingerprints.search,
                dimension=recipe.dimension,
            ),
            recipe,
            streams=self._inference.streams,
        )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def compute(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Compute up to one batch a stream, side by side."""
        return [_mean_pool(hidden, mask) for hidden, mask in self._inference.run(batches)]


def _mean_pool(hidden: npt.NDArray[np.float32], mask: IdMatrix) -> FloatMatrix:
    """Average token vectors (texts, tokens, dimension) over the tokens that are not padding, in
    float32 whatever the encoder computed in.
    """
    weights = mask.astype(np.float32)
    total = np.einsum("bsd,bs->bd", hidden.astype(np.float32, copy=False), weights)
    pooled: FloatMatrix = total / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return pooled
