"""Embedding models: plain BERT on numpy, which is ready in a fraction of torch's import time; others on torch."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.local.config import LocalModelConfig
from adapters.local.files import embedding_fingerprint

Array = NDArray[np.float32]
_BATCH_TOKENS = 2048
_HEAD = ("config.json", "sentence_bert_config.json", "modules.json", "1_Pooling/config.json")
_MODULES = ["Transformer", "Pooling", "Normalize"]


def load_embedder(folder: Path, config: LocalModelConfig) -> "Bert | SentenceTransformers":
    """Return the embedder of a sentence-transformers folder."""
    bert = Bert if _is_plain_bert(folder) else SentenceTransformers
    return bert(folder, config)


class SentenceTransformers:
    """Any model that sentence-transformers reads."""

    def __init__(self, folder: Path, config: LocalModelConfig) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        from adapters.local.transformers_model import pick_device

        self.name, self.fingerprint = config.embedding_model, embedding_fingerprint(folder)
        self._model = SentenceTransformer(
            str(folder),
            device=pick_device(torch, config.device_map),
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        rows: list[list[float]] = vectors.tolist()
        return rows


class Bert:
    """BERT with mean pooling in float32 (Devlin et al. 2018, as all-MiniLM-L6-v2 has it)."""

    def __init__(self, folder: Path, config: LocalModelConfig) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.name, self.fingerprint = config.embedding_model, embedding_fingerprint(folder)
        shape, limits = _read(folder, "config.json"), _read(folder, "sentence_bert_config.json")
        self._heads, self._epsilon = int(shape["num_attention_heads"]), float(shape["layer_norm_eps"])
        self._layers = range(int(shape["num_hidden_layers"]))
        self._weights: dict[str, Array] = {
            name.removeprefix("bert."): values.astype(np.float32, copy=False)
            for name, values in load_file(folder / "model.safetensors").items()
        }
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(int(limits["max_seq_length"]))
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector a text."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        # Texts of one length make a batch, so that there is no padding to mask.
        by_length: dict[int, list[int]] = {}
        for place, tokens in enumerate(ids):
            by_length.setdefault(len(tokens), []).append(place)
        vectors: list[list[float]] = [[] for _ in texts]
        for length, places in by_length.items():
            size = max(1, _BATCH_TOKENS // length)
            for start in range(0, len(places), size):
                batch = places[start : start + size]
                rows = self._pooled(np.array([ids[place] for place in batch]))
                for place, row in zip(batch, rows.tolist(), strict=True):
                    vectors[place] = row
        return vectors

    def _pooled(self, ids: NDArray[np.int64]) -> Array:
        """Return unit vectors, batch x hidden, of ids, batch x tokens."""
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in self._layers:
            name = f"encoder.layer.{layer}"
            mixed = self._linear(self._attention(hidden, f"{name}.attention.self"), f"{name}.attention.output.dense")
            hidden = self._norm(hidden + mixed, f"{name}.attention.output.LayerNorm")
            inner = _gelu(self._linear(hidden, f"{name}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        pooled: Array = hidden.mean(axis=1)
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return pooled

    def _attention(self, hidden: Array, name: str) -> Array:
        batch, tokens, width = hidden.shape

        def split(part: str) -> Array:
            projected = self._linear(hidden, f"{name}.{part}")
            return projected.reshape(batch, tokens, self._heads, -1).transpose(0, 2, 1, 3)

        scores: Any = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(width / self._heads))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: Array = (scores @ split("value")).transpose(0, 2, 1, 3).reshape(batch, tokens, width)
        return mixed

    def _linear(self, values: Array, name: str) -> Array:
        result: Array = values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result

    def _norm(self, values: Array, name: str) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        result: Array = centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return result


def _gelu(values: Array) -> Array:
    """Return x * Phi(x) with erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26): numpy has none."""
    magnitude = np.abs(values) * np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * magnitude)
    polynomial: Any = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = polynomial * t + np.float32(coefficient)
    erf = np.copysign(1 - polynomial * t * np.exp(-magnitude * magnitude), values)
    result: Array = values * (1 + erf) * np.float32(0.5)
    return result


def _is_plain_bert(folder: Path) -> bool:
    """Return whether ``Bert`` computes what sentence-transformers does with this folder."""
    if not all((folder / name).is_file() for name in (*_HEAD, "tokenizer.json", "model.safetensors")):
        return False
    config, pooling = _read(folder, "config.json"), _read(folder, "1_Pooling/config.json")
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode_") and on}
    modules = [str(module["type"]).rpartition(".")[2] for module in _read(folder, "modules.json")]
    prompts = folder / "config_sentence_transformers.json"
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and (modes == {"pooling_mode_mean_tokens"} or pooling.get("pooling_mode") == "mean")
        and modules == _MODULES
        and not (prompts.is_file() and _read(folder, prompts.name).get("default_prompt_name"))
    )


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8"))
