"""Sizes that a model's files state: context length, KV cache, weights. Nothing is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import ModelLoadError
from models.artifacts import Format, ModelArtifact, read_json
from models.gguf_header import GGUFError, read_gguf_header
from models.remote.listing import local_files, select

DEFAULT_CONTEXT = 2048
"""Tokens of context where the files state none."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """``context_length`` in tokens; ``kv_elements_per_token`` counts numbers over all layers, 0 when unknown (an
    upper bound for models with sliding windows or compressed keys); ``chat_template`` is Jinja text.
    """

    context_length: int
    kv_elements_per_token: int
    weight_bytes: int
    architecture: str = "unknown"
    chat_template: str | None = None
    licence: str | None = None


def read_shape(artifact: ModelArtifact) -> ModelShape:
    """Read a ``.gguf`` file or a model folder. Raises ``ModelLoadError``."""
    if artifact.format == "gguf":
        try:
            return _gguf_shape(artifact.path)
        except (GGUFError, OSError) as error:
            raise ModelLoadError(f"{artifact.path.name} is not a readable GGUF file: fetch it again") from error
    return _folder_shape(artifact.path, artifact.format)


def kv_elements_per_token(config: Mapping[str, Any]) -> int:
    """Return the numbers that one token adds to the KV cache, from a model's ``config.json``."""
    heads = int(config["num_attention_heads"])
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return 2 * int(config["num_hidden_layers"]) * kv_heads * head_size


def _gguf_shape(path: Path) -> ModelShape:
    fields = read_gguf_header(path)
    architecture = str(fields.get("general.architecture", "unknown"))

    def field(name: str, default: Any) -> Any:
        value = fields.get(f"{architecture}.{name}")
        return default if value is None else value

    try:
        heads = field("attention.head_count", 1)
        kv_heads = field("attention.head_count_kv", heads)
        heads_in_all = sum(kv_heads) if isinstance(kv_heads, list) else int(field("block_count", 1)) * int(kv_heads)
        widest = max(heads) if isinstance(heads, list) else int(heads)
        key_size = int(field("attention.key_length", int(field("embedding_length", 0)) // max(1, widest)))
        return ModelShape(
            context_length=int(field("context_length", DEFAULT_CONTEXT)),
            kv_elements_per_token=heads_in_all * (key_size + int(field("attention.value_length", key_size))),
            weight_bytes=path.stat().st_size,
            architecture=architecture,
            chat_template=fields.get("tokenizer.chat_template") or None,
            licence=fields.get("general.license") or None,
        )
    except (ValueError, TypeError) as error:
        raise GGUFError("its header states no sizes") from error


def _folder_shape(folder: Path, kind: Format) -> ModelShape:
    config = read_json(folder / "config.json")
    text_config = config.get("text_config", config)
    architectures = config.get("architectures") or [config.get("model_type", "unknown")]
    context = text_config.get("max_position_embeddings")
    try:
        kv_elements = kv_elements_per_token(text_config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        kv_elements = 0
    files = select(local_files(folder), kind)
    return ModelShape(
        context_length=context if isinstance(context, int) and context > 0 else DEFAULT_CONTEXT,
        kv_elements_per_token=kv_elements,
        weight_bytes=sum(file.size for file in files if file.path.endswith((".safetensors", "openvino_model.bin"))),
        architecture=str(architectures[0]),
        chat_template=_chat_template(folder),
    )


def _chat_template(folder: Path) -> str | None:
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = read_json(folder / name).get("chat_template")
        if isinstance(template, list):
            # Several templates by name; ``default`` is used.
            template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
        if isinstance(template, str) and template:
            return template
    return None
