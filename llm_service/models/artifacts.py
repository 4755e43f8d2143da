"""Model files on this machine, their format, and the engine made for that format."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engines.base import EngineInfo, ModelLoadError

Backend = Literal["llamacpp", "openvino", "transformers"]
Format = Literal["gguf", "openvino", "safetensors"]
Purpose = Literal["text", "embeddings", "ranking"]
BACKEND_OF: dict[Format, Backend] = {"gguf": "llamacpp", "openvino": "openvino", "safetensors": "transformers"}


SEVERAL_NETWORKS = "openvino_language_model.xml"
"""In exports for OpenVINO's multimodal pipeline (Qwen3.5 and others), which the service does not run."""


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """Files to load: a ``.gguf`` file or a folder. ``model`` names the weights, ``requested_model`` what the
    settings asked for; ``degraded`` when those differ. ``repack``: OpenVINO loads a copy of this GGUF file
    (``models/openvino_copy.py``).
    """

    path: Path
    format: Format
    model: str
    requested_model: str
    degraded: bool = False
    repack: bool = False

    @property
    def backend(self) -> Backend:
        """The engine that loads these files."""
        return "openvino" if self.repack else BACKEND_OF[self.format]

    def loaded(
        self,
        backend: str,
        *,
        device: str,
        context_length: int,
        fingerprint: str,
        dimension: int | None = None,
        search_fingerprint: str | None = None,
    ) -> EngineInfo:
        """Describe these files after an engine has loaded them."""
        return EngineInfo(
            backend=backend,
            model=self.model,
            requested_model=self.requested_model,
            artifact=self.format,
            device=device,
            context_length=context_length,
            degraded=self.degraded,
            fingerprint=fingerprint,
            dimension=dimension,
            search_fingerprint=search_fingerprint,
        )


def folder_format(folder: Path) -> Format | None:
    """Return the format of a complete model folder; ``None`` for anything else, incomplete models included."""
    if (folder / "openvino_model.xml").is_file() and (folder / "openvino_model.bin").is_file():
        return "openvino"
    if not (folder / "config.json").is_file():
        return None
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return "safetensors" if all((folder / shard).is_file() for shard in shards) else None
    return "safetensors" if any(folder.glob("*.safetensors")) else None


def several_networks(name: str) -> str:
    """Return why a model in several OpenVINO files is refused."""
    return (
        f"{name} is an OpenVINO model in several files ({SEVERAL_NETWORKS}, …) for the multimodal pipeline, which the "
        f"service does not run: take its GGUF or safetensors version, or a model for text alone"
    )


def purpose_of(path: Path) -> Purpose:
    """Return what a model is for: a sentence-transformers folder embeds, a cross-encoder ranks, any other writes."""
    if (path / "modules.json").is_file() or (path / "1_Pooling" / "config.json").is_file():
        return "embeddings"
    architecture = (read_json(path / "config.json").get("architectures") or [""])[0]
    return "ranking" if str(architecture).endswith("ForSequenceClassification") else "text"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one when the file is missing or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def refuse_own_code(folder: Path, name: str) -> None:
    """Raise ``ModelLoadError`` when a safetensors model works only with code from its repository (``auto_map``):
    such code is never run. A model of an architecture that transformers knows is loaded without it.
    """
    config = read_json(folder / "config.json")
    if not config:
        raise ModelLoadError(f"{name}: its config.json cannot be read")
    if "auto_map" not in config:
        return
    # Imported here: it takes a second, and few models name code.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # type: ignore[attr-defined]

    if config.get("model_type") not in CONFIG_MAPPING_NAMES:
        raise ModelLoadError(
            f"{name} works only with code from its own repository (auto_map), which is never run: choose a model of "
            f"an architecture that transformers knows, or its GGUF or OpenVINO version"
        )
