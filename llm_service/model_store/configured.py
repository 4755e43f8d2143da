"""What the settings name, and what that would load now."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from config.settings import Settings
from engines.base import ModelLoadError
from engines.engine_fit import openvino_can_embed
from engines.hardware import cuda_device_count
from engines.model_artifacts import Backend, ModelArtifact
from engines.model_hub import ModelHub
from engines.model_pins import ModelPins
from engines.models import (
    backends_in_order,
    cached_embedder,
    cached_generator,
    embedded_embedder,
    first_that_serves,
    local_artifact,
    local_embedder,
)

Setting = Literal["LLM_MODEL", "EMBEDDING_MODEL"]


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting, and the files and engine behind it; without ``path`` nothing is here yet and ``problem``
    says what happens at the next start.
    """

    setting: Setting
    name: str
    engine: str = ""
    path: Path | None = None
    problem: str = field(default="")


def pins_of(settings: Settings) -> ModelPins:
    """Return the pins that the service uses."""
    return ModelPins(settings.model_cache_dir)


def wanted_backends(settings: Settings) -> tuple[Backend, ...]:
    """Return the engines that the settings and this machine allow, the preferred one first."""
    backend = settings.llm_backend
    if backend == "fake" or backend == "openai":  # noqa: PLR1714 - the type checker follows no tuple
        return backends_in_order("auto", use_cuda=False)
    use_cuda = settings.llm_device_map != "cpu" and cuda_device_count() > 0
    return backends_in_order(backend, use_cuda=use_cuda)


def configured_models(settings: Settings) -> tuple[Configured, Configured]:
    """Find out what ``LLM_MODEL`` and ``EMBEDDING_MODEL`` would load, without asking the hub."""
    hub = ModelHub(pins_of(settings), offline=True)
    # What the engine choice logs at a start is told here in its own words.
    logging.getLogger("engines.models").setLevel(logging.ERROR)
    return _generator(settings, hub), _embedder(settings, hub)


def _generator(settings: Settings, hub: ModelHub) -> Configured:
    name = settings.llm_model
    if settings.llm_backend == "fake":
        return Configured("LLM_MODEL", name, problem="LLM_BACKEND=fake: no model is loaded")
    if settings.llm_backend == "openai":
        name = settings.llm_upstream_model or name
        return Configured("LLM_MODEL", name, problem="LLM_BACKEND=openai: the server at LLM_UPSTREAM_URL has it")
    wanted = wanted_backends(settings)
    try:
        artifact = local_artifact(name) or cached_generator(name, wanted, hub)
        if artifact is None:
            return Configured("LLM_MODEL", name, problem=_missing(name, settings))
        resolved = first_that_serves(artifact, wanted)
    except ModelLoadError as error:
        return Configured("LLM_MODEL", name, problem=str(error))
    return Configured("LLM_MODEL", name, resolved.backend, artifact.path)


def _missing(name: str, settings: Settings) -> str:
    otherwise = "refuses to start" if settings.llm_offline_model == "none" else "takes the embedded model"
    return (
        f"not on this machine: python dev.py model pull {name} fetches it, and so does the next start; "
        f"where the hub cannot be reached the service {otherwise}"
    )


def _embedder(settings: Settings, hub: ModelHub) -> Configured:
    name = settings.embedding_model
    if settings.embedding_backend == "fake":
        return Configured("EMBEDDING_MODEL", name, problem="EMBEDDING_BACKEND=fake: no model is loaded")
    try:
        artifact: ModelArtifact | None = embedded_embedder(name) or local_embedder(name) or cached_embedder(name, hub)
    except ModelLoadError as error:
        return Configured("EMBEDDING_MODEL", name, problem=str(error))
    if artifact is None:
        problem = f"not on this machine: python dev.py model pull {name} fetches it, and so does the next start"
        return Configured("EMBEDDING_MODEL", name, problem=problem)
    chosen = settings.embedding_backend
    if chosen == "auto":
        chosen = "openvino" if openvino_can_embed(artifact.path) else "sentence_transformers"
    return Configured("EMBEDDING_MODEL", name, chosen, artifact.path)
