"""Sizes that a model's files state: context length, KV cache, weights. Nothing is loaded."""

from dataclasses import dataclass
from pathlib import Path

from engines.base import ModelLoadError
from engines.kv_cache import kv_elements_per_token
from models.artifacts import Format, ModelArtifact, read_json
from models.gguf_metadata import DEFAULT_CONTEXT, GGUFError, read_gguf_metadata
from models.remote.listing import local_files, select


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
            metadata = read_gguf_metadata(artifact.path)
        except (GGUFError, OSError) as error:
            raise ModelLoadError(f"{artifact.path.name} is not a readable GGUF file") from error
        return ModelShape(
            metadata.context_length,
            metadata.kv_elements_per_token,
            artifact.path.stat().st_size,
            metadata.architecture,
            metadata.chat_template,
            metadata.licence,
        )
    return folder_shape(artifact.path, weight_bytes(artifact.path, artifact.format))


def weight_bytes(folder: Path, kind: Format) -> int:
    """Return the size of the weight files of a model folder, in bytes."""
    chosen = select(local_files(folder), kind)
    return sum(file.size for file in chosen if file.path.endswith((".safetensors", "openvino_model.bin")))


def folder_shape(folder: Path, weights: int) -> ModelShape:
    """Read the texts of a model folder; ``weights`` is the size of its weight files in bytes."""
    config = read_json(folder / "config.json")
    text_config = config.get("text_config", config)
    architectures = config.get("architectures") or [config.get("model_type", "unknown")]
    context = text_config.get("max_position_embeddings")
    try:
        kv_elements = kv_elements_per_token(text_config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        kv_elements = 0
    return ModelShape(
        context_length=context if isinstance(context, int) and context > 0 else DEFAULT_CONTEXT,
        kv_elements_per_token=kv_elements,
        weight_bytes=weights,
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
            # Several, by name; the one called default is the one that is used.
            template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
        if isinstance(template, str) and template:
            return template
    return None
