"""What tells whether vectors of two embedders may be compared."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.base import ModelLoadError

SCHEME = "minilm-v1"
HEX_DIGITS = 16


def embedding_fingerprint(model_dir: Path) -> str:
    """Return 16 hexadecimal digits that differ when weights, pooling or token limit differ.

    They are the beginning of the sha256 of five lines joined by newlines: ``minilm-v1``, the sha256
    of ``model.safetensors`` in lower-case hexadecimal, the pooling (``mean``), ``true`` (vectors are
    normalised) and the token limit. The backend computes the same for its local embedder. Raises
    ``ModelLoadError`` when the folder does not hold such a model.
    """
    try:
        weights = _file_sha256(model_dir / "model.safetensors")
        pooling = _read_json(model_dir / "1_Pooling" / "config.json")
        limits = _read_json(model_dir / "sentence_bert_config.json")
        lines = (SCHEME, weights, _pooling_name(pooling), "true", str(int(limits["max_seq_length"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"{model_dir.name} is not a complete sentence-transformers model: {error}") from error
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:HEX_DIGITS]


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _pooling_name(config: Mapping[str, Any]) -> str:
    """Name the pooling modes that are on, in the order of the file: ``mean``, ``cls+max``, …"""
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    prefix = "pooling_mode_"
    modes = [key.removeprefix(prefix) for key, on in config.items() if key.startswith(prefix) and on is True]
    names = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes]
    if not names:
        raise ValueError("no pooling mode is on")
    return "+".join(names)
