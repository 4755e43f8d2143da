"""What is loaded: the files of a model on this machine and the format they are in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Backend = Literal["openvino", "transformers"]
Format = Literal["gguf", "openvino", "safetensors"]


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """Files to load: a ``.gguf`` file or a folder. ``model`` is whose weights they are,
    ``requested_model`` what the settings asked for; ``degraded`` when those differ.
    """

    path: Path
    format: Format
    model: str
    requested_model: str
    degraded: bool = False


def folder_format(folder: Path) -> Format | None:
    """Tell a complete model folder's format; ``None`` for anything else, half a model included."""
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
