"""Sentence embeddings on OpenVINO: mean pooling over a BERT encoder."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import psutil
from tokenizers import Tokenizer

from engines.base import EmbeddingRequest, EngineInfo, FloatMatrix, GenerationRequest, ModelLoadError, RequestEvent
from engines.embedder_export import ensure_exported
from engines.embedding_queue import BatchItem, EmbeddingQueue
from engines.fingerprint import embedding_fingerprint
from engines.models import ModelArtifact

TOKEN_BUDGET = 1024
"""Padded tokens of one batch: larger ones were no faster and a request that comes in between waits
for the batches under way."""
MOST_STREAMS = 4
"""Batches computed side by side, each on its share of the cores: two of one core each embed 1.2
times as fast as one of two, and shorter batches hold less padding (docs/experiments.md)."""


class OpenVinoEmbedder:
    """An ``Engine`` for embedding requests."""

    def __init__(self, artifact: ModelArtifact, cache_dir: Path) -> None:
        folder = artifact.path
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        fingerprint = embedding_fingerprint(folder)
        exported = cache_dir / f"embedder-{fingerprint}-openvino-{openvino.__version__.split('-')[0]}.xml"
        ensure_exported(folder, exported)
        core = openvino.Core()
        self._streams = max(1, min(MOST_STREAMS, psutil.cpu_count(logical=False) or 1))
        options: dict[str, str] = {"NUM_STREAMS": str(self._streams)}
        if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            options["INFERENCE_PRECISION_HINT"] = "bf16"
        try:
            compiled = core.compile_model(exported, "CPU", options)
        except RuntimeError as error:
            exported.unlink(missing_ok=True)
            raise ModelLoadError(
                "the exported embedding model was damaged; it will be exported anew", fatal=False
            ) from error
        self._infer = [compiled.create_infer_request() for _ in range(self._streams)]
        self._max_tokens = int(limits["max_seq_length"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._closing_token = self._tokenizer.encode("").ids[-1]
        dimension = int(config["hidden_size"])
        self._queue = EmbeddingQueue(dimension, TOKEN_BUDGET)
        self.batch_size = 0
        self.info = EngineInfo(
            backend="openvino",
            model=artifact.model,
            requested_model=artifact.requested_model,
            artifact=artifact.format,
            device="cpu",
            context_length=self._max_tokens,
            fingerprint=fingerprint,
            dimension=dimension,
        )

    def warm_up(self) -> None:
        """Embed a short and a longer text, so that both shapes are compiled."""
        for length in (8, 24):
            self._embed([[BatchItem("", 0, [self._closing_token] * length)] for _ in range(self._streams)])

    def submit(self, request: GenerationRequest | EmbeddingRequest) -> None:
        """Tokenize the texts and queue them."""
        assert isinstance(request, EmbeddingRequest)
        ids: list[list[int]] = []
        truncated: list[bool] = []
        for encoding in self._tokenizer.encode_batch(list(request.texts)):
            whole = len(encoding.ids) <= self._max_tokens
            # Truncation keeps the closing special token, as sentence-transformers does.
            ids.append(encoding.ids if whole else [*encoding.ids[: self._max_tokens - 1], self._closing_token])
            truncated.append(not whole)
        self._queue.add(request.id, ids, truncated, normalize=request.normalize)

    def cancel(self, request_id: str) -> None:
        """Forget a request; a batch under way is finished for the others in it."""
        self._queue.cancel(request_id)

    def step(self) -> Sequence[RequestEvent]:
        """Embed a batch on each stream."""
        batches = self._queue.next_batches(self._streams)
        self.batch_size = sum(map(len, batches))
        events: list[RequestEvent] = []
        for batch, vectors in zip(batches, self._embed(batches), strict=True):
            events.extend(self._queue.complete(batch, vectors))
        return events

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

    def _embed(self, batches: Sequence[Sequence[BatchItem]]) -> list[FloatMatrix]:
        """Compute up to one batch a stream, side by side."""
        masks = []
        for infer, batch in zip(self._infer, batches, strict=False):
            ids, mask = _pad(batch)
            masks.append(mask)
            infer.start_async({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
        vectors = []
        for infer, mask, batch in zip(self._infer, masks, batches, strict=False):
            infer.wait()
            vectors.append(_mean_pool(infer.get_output_tensor(0).data, mask)[: len(batch)])
        return vectors


def _pad(batch: Sequence[BatchItem]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return token ids and attention mask of a rounded shape (texts, tokens); rows beyond the batch
    hold one token.
    """
    shape = (_round_up(len(batch)), _round_up(max(len(item.token_ids) for item in batch)))
    ids = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    mask[len(batch) :, 0] = 1
    for row, item in enumerate(batch):
        ids[row, : len(item.token_ids)] = item.token_ids
        mask[row, : len(item.token_ids)] = 1
    return ids, mask


def _round_up(size: int) -> int:
    """Round to 1, 2, 4 and then steps of at most an eighth: OpenVINO keeps compiled kernels for every
    shape it has seen, which took hundreds of megabytes when every shape was its own.
    """
    step = max(2, 1 << max(0, size.bit_length() - 4)) if size > 1 else 1
    return -(-size // step) * step


def _mean_pool(hidden: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]) -> FloatMatrix:
    """Average token vectors (texts, tokens, dimension) over the tokens that are not padding, in
    float32 whatever the encoder computed in.
    """
    weights = mask.astype(np.float32)
    total = np.einsum("bsd,bs->bd", hidden.astype(np.float32, copy=False), weights)
    pooled: FloatMatrix = total / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return pooled
