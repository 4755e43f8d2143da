"""Cross-encoders on OpenVINO."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from config.settings import Settings
from engines.base import EngineInfo, FloatMatrix, RankingRequest
from engines.encoders.export import ensure_exported
from engines.encoders.openvino import EncoderInference, Padding
from engines.encoders.queue import BatchItem, Encoding
from engines.rerankers.engine import QueuedReranker
from engines.rerankers.recipe import read_recipe, reranker_fingerprint
from models.artifacts import ModelArtifact


class OpenVinoReranker(QueuedReranker):
    """An ``Engine`` for ranking requests, in float32: bfloat16 moves a score by hundredths."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        fingerprint = reranker_fingerprint(artifact.path)
        exported = ensure_exported("ranking", artifact.path, settings.model_cache_dir, fingerprint)
        self._inference = EncoderInference(exported, Padding(recipe.pad_token, recipe.max_tokens), bfloat16=False)
        self._tokenizer = Tokenizer.from_file(str(artifact.path / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(recipe.max_tokens, strategy="longest_first")
        super().__init__(
            EngineInfo(
                backend="openvino",
                model=artifact.model,
                requested_model=artifact.requested_model,
                artifact=artifact.format,
                device="cpu",
                context_length=recipe.max_tokens,
                fingerprint=fingerprint,
            ),
            recipe.activation,
            streams=self._inference.streams,
        )

    def encode(self, request: RankingRequest) -> list[Encoding]:
        """Tokenize each document together with the query."""
        pairs = [(request.query, document) for document in request.documents]
        return [
            Encoding(pair, read.ids, read.type_ids, truncated=bool(read.overflowing))
            for pair, read in zip(pairs, self._tokenizer.encode_batch(pairs), strict=True)
        ]

    def compute(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Compute up to one batch a stream, side by side."""
        return [np.array(logits, dtype=np.float32) for logits, _ in self._inference.run(batches)]
