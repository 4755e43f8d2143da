"""Encoders on OpenVINO: batches side by side, each on its share of the cores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import psutil
from tokenizers import Tokenizer

from config.settings import Settings
from engines.base import ModelLoadError
from engines.encoders import ranking_recipe
from engines.encoders.embedding_recipe import embedding_fingerprints, read_recipe
from engines.encoders.engine import Embedder, Reranker
from engines.encoders.export import ensure_exported
from engines.encoders.queue import Encoding
from engines.events import FloatMatrix
from engines.resident_memory import release_memory
from models.artifacts import ModelArtifact
from models.fingerprint import model_fingerprint

MOST_STREAMS = 4
"""Batches computed side by side, each on its share of the cores: two of one core each embed 1.2
times as fast as one of two, and shorter batches hold less padding (docs/performance.md)."""

IdMatrix = npt.NDArray[np.int64]


class OpenVinoEmbedder(Embedder):
    """Mean pooling over a BERT encoder."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = read_recipe(artifact.path)
        fingerprints = embedding_fingerprints(artifact.path)
        encoder = recipe.modules[0][1]
        exported = ensure_exported("embedding", encoder, settings.model_cache_dir, fingerprints.plain)
        self._inference = EncoderInference(exported, pad_token=0, longest=recipe.max_tokens, bfloat16=True)
        self._tokenizer = _tokenizer(encoder, recipe.max_tokens)
        info = artifact.loaded(
            "openvino",
            device="cpu",
            context_length=recipe.max_tokens,
            fingerprint=fingerprints.plain,
            search_fingerprint=fingerprints.search,
            dimension=recipe.dimension,
        )
        super().__init__(info, recipe.prompts, streams=self._inference.streams)

    def warm_up(self) -> None:
        """Compute a short and a longer text on each stream."""
        super().warm_up()
        release_memory(self._inference.folder)

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Tokenize each text after its prompt."""
        every = self._tokenizer.encode_batch([prompt + text for prompt, text in pairs])
        return [_encoding(pair, read) for pair, read in zip(pairs, every, strict=True)]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Compute up to one batch a stream, side by side."""
        return [_mean_pool(hidden, mask) for hidden, mask in self._inference.run(batches)]


class OpenVinoReranker(Reranker):
    """Cross-encoders in float32: bfloat16 moves a score by hundredths."""

    def __init__(self, artifact: ModelArtifact, settings: Settings) -> None:
        recipe = ranking_recipe.read_recipe(artifact.path)
        fingerprint = model_fingerprint(artifact.path)
        exported = ensure_exported("ranking", artifact.path, settings.model_cache_dir, fingerprint)
        self._inference = EncoderInference(
            exported, pad_token=recipe.pad_token, longest=recipe.max_tokens, bfloat16=False
        )
        self._tokenizer = _tokenizer(artifact.path, recipe.max_tokens)
        info = artifact.loaded("openvino", device="cpu", context_length=recipe.max_tokens, fingerprint=fingerprint)
        super().__init__(info, recipe.activation, streams=self._inference.streams)

    def warm_up(self) -> None:
        """Compute a short and a longer pair on each stream."""
        super().warm_up()
        release_memory(self._inference.folder)

    def tokenize(self, pairs: list[tuple[str, str]]) -> list[Encoding]:
        """Tokenize each document together with the query."""
        return [_encoding(pair, read) for pair, read in zip(pairs, self._tokenizer.encode_batch(pairs), strict=True)]

    def compute(self, batches: Sequence[Sequence[Encoding]]) -> list[FloatMatrix]:
        """Compute up to one batch a stream, side by side."""
        return [np.array(logits, dtype=np.float32) for logits, _ in self._inference.run(batches)]


class EncoderInference:
    """A compiled encoder. Raises ``ModelLoadError`` for a damaged file, which is removed.

    ``pad_token`` fills batches up to rectangles; ``longest`` is the longest row that the model reads; ``bfloat16``:
    compute in it where the processor has it.
    """

    def __init__(self, exported: Path, *, pad_token: int, longest: int, bfloat16: bool) -> None:
        self.streams = max(1, min(MOST_STREAMS, psutil.cpu_count(logical=False) or 1))
        self._pad_token, self._longest = pad_token, longest
        self.folder = exported.parent
        core = openvino.Core()
        fast = bfloat16 and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {"NUM_STREAMS": str(self.streams), "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}
        try:
            compiled = core.compile_model(exported, "CPU", options)
        except RuntimeError as error:
            exported.unlink(missing_ok=True)
            raise ModelLoadError("the exported model was damaged; it will be exported again", fatal=False) from error
        self._has_types = any("token_type_ids" in port.get_names() for port in compiled.inputs)
        self._requests = [compiled.create_infer_request() for _ in range(self.streams)]

    def run(self, batches: Sequence[Sequence[Encoding]]) -> list[tuple[npt.NDArray[Any], IdMatrix]]:
        """Compute up to one batch a stream, side by side.

        Returns for each the model's first output and the attention mask, of shapes (texts, …) and (texts, tokens).
        """
        masks = []
        for infer, batch in zip(self._requests, batches, strict=False):
            ids, types, mask = self._pad(batch)
            masks.append(mask)
            inputs = {"input_ids": ids, "attention_mask": mask}
            infer.start_async(inputs | ({"token_type_ids": types} if self._has_types else {}))
        outputs = []
        for infer, mask, batch in zip(self._requests, masks, batches, strict=False):
            infer.wait()
            outputs.append((infer.get_output_tensor(0).data[: len(batch)], mask[: len(batch)]))
        return outputs

    def _pad(self, batch: Sequence[Encoding]) -> tuple[IdMatrix, IdMatrix, IdMatrix]:
        """Return token ids, types and attention mask of a rounded shape; rows beyond the batch hold one token."""
        tokens = min(_round_up(max(len(item.ids) for item in batch)), self._longest)
        shape = (_round_up(len(batch)), tokens)
        ids = np.full(shape, self._pad_token, dtype=np.int64)
        types = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        mask[len(batch) :, 0] = 1
        for row, item in enumerate(batch):
            ids[row, : len(item.ids)] = item.ids
            mask[row, : len(item.ids)] = 1
            types[row, : len(item.types)] = item.types
        return ids, types, mask


def _tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """Load a tokenizer that cuts texts as its library does: the longer of a pair, special tokens are kept."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens, strategy="longest_first")
    return tokenizer


def _encoding(content: tuple[str, str], read: Any) -> Encoding:
    return Encoding(content, read.ids, read.type_ids, truncated=bool(read.overflowing))


def _mean_pool(hidden: npt.NDArray[np.float32], mask: IdMatrix) -> FloatMatrix:
    """Average token vectors (texts, tokens, dimension) over the tokens that are not padding, in
    float32 whatever the encoder computed in.
    """
    weights = mask.astype(np.float32)
    total = np.einsum("bsd,bs->bd", hidden.astype(np.float32, copy=False), weights)
    pooled: FloatMatrix = total / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return pooled


def _round_up(size: int) -> int:
    """Round to 1, 2, 4 and then steps of at most an eighth: OpenVINO keeps compiled kernels for every
    shape it has seen, which took hundreds of megabytes when every shape was its own.
    """
    step = max(2, 1 << max(0, size.bit_length() - 4)) if size > 1 else 1
    return -(-size // step) * step
