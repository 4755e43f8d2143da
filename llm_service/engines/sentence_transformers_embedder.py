"""Sentence embeddings with sentence-transformers, for models that the OpenVINO embedder does not serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from engines.base import EmbeddingRequest, EngineInfo, FloatMatrix, GenerationRequest, ModelLoadError, RequestEvent
from engines.embedding_queue import BatchItem, EmbeddingQueue
from engines.fingerprint import embedding_fingerprint
from engines.loading_errors import LOADING_ERRORS, loading_advice

library: Any = transformers
"""Not checked by types: its annotations are partial."""

TOKEN_BUDGET = 1024
"""Padded tokens of one batch: a cancel, and a request that comes in between, wait for one batch."""


class SentenceTransformersEmbedder:
    """An ``Engine`` for embedding requests, in float32. ``device`` is a torch device, or ``auto`` for the
    first GPU or else the CPU.
    """

    def __init__(self, *, model_path: Path, model_name: str, requested_model: str, device: str) -> None:
        library.utils.logging.disable_progress_bar()
        fingerprint = embedding_fingerprint(model_path)
        try:
            model: Any = SentenceTransformer(
                str(model_path),
                device=None if device == "auto" else device,
                local_files_only=True,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except LOADING_ERRORS as error:
            raise ModelLoadError(loading_advice("sentence-transformers", model_name, model_path, error)) from error
        # Whether vectors are normalised is each request's own.
        self._modules = [module for module in model.eval() if not isinstance(module, Normalize)]
        self._tokenizer: Any = model.tokenizer
        self._device = model.device
        self._max_tokens = int(model.max_seq_length)
        dimension = int(model.get_embedding_dimension())
        self._queue = EmbeddingQueue(dimension, TOKEN_BUDGET)
        self.batch_size = 0
        self.info = EngineInfo(
            backend="sentence_transformers",
            model=model_name,
            requested_model=requested_model,
            artifact="safetensors",
            device=str(model.device),
            context_length=self._max_tokens,
            fingerprint=fingerprint,
            dimension=dimension,
        )

    def warm_up(self) -> None:
        """Embed one text."""
        self.submit(EmbeddingRequest("warm-up", ("warm up",)))
        while self.running:
            self.step()

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the texts and queue them."""
        assert isinstance(request, EmbeddingRequest)
        texts = list(request.texts)
        whole = self._tokenizer(texts, verbose=False)["input_ids"]
        truncated = [len(ids) > self._max_tokens for ids in whole]
        # Only the tokenizer knows which special tokens a text that is cut has to keep.
        cut = iter(self._cut([text for text, is_long in zip(texts, truncated, strict=True) if is_long]))
        ids = [next(cut) if is_long else ids for ids, is_long in zip(whole, truncated, strict=True)]
        self._queue.add(request.id, ids, truncated, normalize=request.normalize)

    def cancel(self, request_id: str) -> None:
        """Forget a request; a batch under way is finished for the others in it."""
        self._queue.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Embed one batch."""
        batch = self._queue.next_batch()
        self.batch_size = len(batch)
        return self._queue.complete(batch, self._embed(batch)) if batch else []

    @property
    def running(self) -> int:
        """Requests with texts still to embed."""
        return len(self._queue)

    @property
    def kv_cache_usage(self) -> None:
        """There is none."""
        return

    def close(self) -> None:
        """Nothing to release before the process ends."""

    def _cut(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(texts, truncation=True, max_length=self._max_tokens)["input_ids"]
        return ids

    def _embed(self, batch: Sequence[BatchItem]) -> FloatMatrix:
        padded = self._tokenizer.pad({"input_ids": [list(item.token_ids) for item in batch]}, return_tensors="pt")
        features = dict(padded.to(self._device))
        with torch.inference_mode():
            for module in self._modules:
                features = module(features)
        vectors: FloatMatrix = features["sentence_embedding"].float().cpu().numpy().astype(np.float32, copy=False)
        return vectors
