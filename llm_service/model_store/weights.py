"""What a model's files say about its weights and its conversation format, read without loading it."""

import json
import re
import struct
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from engines.base import ModelLoadError
from engines.gguf_metadata import GGUFError, read_gguf_metadata
from engines.model_artifacts import Format

_IR_CONSTANT = re.compile(r'<data element_type="(\w+)" shape="([\d, ]*)" offset="\d+" size="(\d+)"')
_LONGEST_HEADER_BYTES = 100 * 1024**2


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """``None`` and empty where the files do not say. ``context_length`` in tokens; ``types`` are the
    number formats of the weights; ``kv_elements_per_token`` are numbers.
    """

    architecture: str = "unknown"
    parameters: int | None = None
    weight_bytes: int = 0
    context_length: int | None = None
    types: tuple[str, ...] = ()
    chat_template: str | None = None
    licence: str | None = None
    kv_elements_per_token: int | None = None


def read_facts(path: Path, kind: Format) -> ModelFacts:
    """Read a ``.gguf`` file or a model folder. Raises ``ModelLoadError``."""
    if kind == "gguf":
        return _gguf_facts(path)
    parameters, types, size = _openvino_weights(path) if kind == "openvino" else _safetensors_weights(path)
    return replace(read_config_facts(path), parameters=parameters, types=types, weight_bytes=size)


def read_config_facts(folder: Path) -> ModelFacts:
    """Read what a folder's texts say, its weights aside."""
    config = read_json(folder / "config.json")
    text_config = config.get("text_config", config)
    architectures = config.get("architectures") or [config.get("model_type", "unknown")]
    context = text_config.get("max_position_embeddings")
    return ModelFacts(
        architecture=str(architectures[0]),
        context_length=int(context) if isinstance(context, int) else None,
        chat_template=_chat_template(folder),
        kv_elements_per_token=_kv_elements(text_config),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _gguf_facts(path: Path) -> ModelFacts:
    try:
        metadata = read_gguf_metadata(path)
    except GGUFError as error:
        raise ModelLoadError(f"{path.name}: {error}") from error
    return ModelFacts(
        architecture=metadata.architecture,
        parameters=metadata.parameters,
        weight_bytes=path.stat().st_size,
        context_length=metadata.context_length,
        types=tuple(sorted(metadata.tensor_types)),
        chat_template=metadata.chat_template,
        licence=metadata.licence,
        kv_elements_per_token=metadata.kv_elements_per_token,
    )


def _safetensors_weights(folder: Path) -> tuple[int, tuple[str, ...], int]:
    parameters, types, size = 0, set(), 0
    index = read_json(folder / "model.safetensors.index.json").get("weight_map", {})
    names = set(index.values()) or {path.name for path in folder.glob("*.safetensors")}
    for name in names:
        header = _safetensors_header(folder / name)
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        parameters += sum(prod(entry["shape"]) for entry in tensors)
        types |= {str(entry["dtype"]) for entry in tensors}
        size += (folder / name).stat().st_size
    return parameters, tuple(sorted(types)), size


def _safetensors_header(path: Path) -> dict[str, Any]:
    """Read the table of tensors: its length in eight bytes, then JSON (the format's specification)."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            content = json.loads(file.read(min(length, _LONGEST_HEADER_BYTES)))
    except (OSError, ValueError, struct.error) as error:
        raise ModelLoadError(f"{path.name} is not a readable safetensors file") from error
    return content if isinstance(content, dict) else {}


def _openvino_weights(folder: Path) -> tuple[int, tuple[str, ...], int]:
    text = (folder / "openvino_model.xml").read_text(encoding="utf-8", errors="replace")
    sizes: dict[str, int] = {}
    elements: dict[str, int] = {}
    for kind, shape, size in _IR_CONSTANT.findall(text):
        sizes[kind] = sizes.get(kind, 0) + int(size)
        elements[kind] = elements.get(kind, 0) + prod(int(part) for part in shape.split(",") if part.strip())
    # Scales, shapes and single numbers are constants too: a type counts from a twentieth of the bytes on.
    types = tuple(sorted(kind for kind, size in sizes.items() if size * 20 >= sum(sizes.values())))
    parameters = sum(elements[kind] for kind in types)
    return parameters, types, (folder / "openvino_model.bin").stat().st_size


def _chat_template(folder: Path) -> str | None:
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if path.suffix == ".jinja" and path.is_file():
            return path.read_text(encoding="utf-8")
        template = read_json(path).get("chat_template")
        if isinstance(template, list):
            # Several, by name; the one called default is the one that is used.
            template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
        if isinstance(template, str) and template:
            return template
    return None


def _kv_elements(config: dict[str, Any]) -> int | None:
    try:
        heads = int(config["num_attention_heads"])
        head_size = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
        return 2 * int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads) * head_size
    except (KeyError, TypeError, ValueError):
        return None
