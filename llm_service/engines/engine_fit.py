"""Which engine can load which files, told from the files without loading them."""

import json
from dataclasses import dataclass
from pathlib import Path

from engines.base import ModelLoadError
from engines.gguf_metadata import GGUFError, GGUFMetadata, read_gguf_metadata
from engines.model_artifacts import Backend, ModelArtifact

OPENVINO_GGUF_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
OPENVINO_GGUF_TENSORS = frozenset({"F32", "F16", "Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q8_0"})
TRANSFORMERS_GGUF_ARCHITECTURES = frozenset({
    "bloom", "deci", "falcon", "gemma2", "gemma3", "gemma4", "gpt-oss", "gpt2", "lfm2", "llama", "mamba", "minimax-m2",
    "mistral", "nemotron", "phi3", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "stablelm", "starcoder2",
})  # fmt: skip
"""Decoders that transformers 5.23 turns into its own (``GGUF_SUPPORTED_ARCHITECTURES``)."""
TRANSFORMERS_GGUF_TENSORS = frozenset({
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    "IQ1_M", "IQ1_S", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ3_S", "IQ3_XXS", "IQ4_NL", "IQ4_XS",
    "MXFP4", "NVFP4", "TQ1_0", "TQ2_0",
})  # fmt: skip
"""What the ``gguf`` package turns back into plain numbers."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an engine cannot load some files, and what to do about it."""

    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.mend}"


def find_obstacle(artifact: ModelArtifact, backend: Backend) -> Obstacle | None:
    """Say why this engine cannot load these files; ``None`` when nothing speaks against it. Raises
    ``ModelLoadError`` when no engine could, because the file is damaged.
    """
    if artifact.format == "gguf":
        return _gguf_obstacle(_metadata(artifact.path), backend)
    if backend == "transformers":
        if artifact.format == "openvino":
            return Obstacle("transformers reads no OpenVINO models", "set LLM_BACKEND=openvino (or auto)")
        return _own_code_obstacle(artifact)
    if artifact.format == "safetensors":
        return Obstacle(
            "OpenVINO needs an exported model",
            "set LLM_BACKEND=transformers (or auto), or LLM_MODEL to an OpenVINO or GGUF model",
        )
    return None


def openvino_can_embed(folder: Path) -> bool:
    """Whether OpenVINO's embedder does what the model asks for: a BERT encoder, mean pooling."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    modes = [key for key, on in pooling.items() if key.startswith("pooling_mode_") and on is True]
    return config.get("model_type") == "bert" and modes == ["pooling_mode_mean_tokens"]


def _metadata(path: Path) -> GGUFMetadata:
    try:
        return read_gguf_metadata(path)
    except GGUFError as error:
        raise ModelLoadError(f"{path.name}: {error}") from error


def _gguf_obstacle(metadata: GGUFMetadata, backend: Backend) -> Obstacle | None:
    reason = _unreadable(metadata, backend)
    if reason is None:
        return None
    other: Backend = "transformers" if backend == "openvino" else "openvino"
    otherwise = f", or set LLM_BACKEND={other}" if _unreadable(metadata, other) is None else ""
    return Obstacle(reason, f"use another file, of Q4_0, Q8_0 or F16 tensors{otherwise}")


def _unreadable(metadata: GGUFMetadata, backend: Backend) -> str | None:
    """Say what in a GGUF file an engine cannot read; ``None`` when nothing speaks against it."""
    if backend == "openvino":
        engine, architectures, tensors = "OpenVINO", OPENVINO_GGUF_ARCHITECTURES, OPENVINO_GGUF_TENSORS
        # F32 it reads in vectors, which every file has, but not in matrices.
        unknown = metadata.tensor_types if metadata.tensor_types == {"F32"} else metadata.tensor_types - tensors
    else:
        engine, architectures, tensors = "transformers", TRANSFORMERS_GGUF_ARCHITECTURES, TRANSFORMERS_GGUF_TENSORS
        unknown = metadata.tensor_types - tensors
    if metadata.architecture not in architectures:
        return f"{engine} reads no GGUF file of the architecture {metadata.architecture}"
    if unknown:
        return f"{engine} reads no {', '.join(sorted(unknown))} tensors"
    return None


def _own_code_obstacle(artifact: ModelArtifact) -> Obstacle | None:
    """A model whose config names code of its own is loaded without it when the library knows its kind."""
    try:
        config = json.loads((artifact.path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{artifact.requested_model}: its config.json cannot be read") from error
    if not isinstance(config, dict) or "auto_map" not in config:
        return None
    # Imported only here: it takes a second, and hardly any model names code.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # type: ignore[attr-defined]

    if config.get("model_type") in CONFIG_MAPPING_NAMES:
        return None
    return Obstacle(
        "it works only with code from its own repository (auto_map), which is never run",
        "choose a model of an architecture that transformers knows, or its GGUF or OpenVINO version",
    )
