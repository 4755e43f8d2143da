"""Choice of a worker's engine. The only module that imports engines, each by name and on demand."""

import importlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import EncoderBackend, Settings
from engines.base import Engine, ModelLoadError
from engines.llamacpp.endpoint import EndpointServer

if TYPE_CHECKING:
    from models.hub import ModelHub

ENGINES = {
    "llamacpp": ("engines.llamacpp.server", "LlamaCppServer"),
    "openvino": ("engines.openvino.generator", "OpenVinoGenerator"),
    "transformers": ("engines.transformers.generator", "TransformersGenerator"),
}
"""Module and class of each backend's engine; only the selected one is imported."""

logger = logging.getLogger("worker")


def load_generator(settings: Settings) -> Engine | EndpointServer:
    """Load the language model; raises ``ModelLoadError``."""
    if settings.llm_backend == "fake":
        from engines.fake import FakeGenerator

        return FakeGenerator()
    from models.openvino_copy import as_openvino
    from models.remote.sources import this_machine
    from models.resolve import resolve_generator

    artifact = resolve_generator(
        settings.llm_model,
        settings.llm_backend,
        machine=this_machine(settings.llm_device_map),
        offline_model=settings.llm_offline_model,
        hub=_hub(settings),
    )
    if artifact.repack:
        artifact = as_openvino(artifact, settings.model_cache_dir)
    logger.info("loading %s (%s) with %s", artifact.model, artifact.format, artifact.backend)
    module, name = ENGINES[artifact.backend]
    try:
        engine_class = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"{artifact.model} needs the {artifact.backend} engine, whose package {error.name} is not installed: run "
            f"python dev.py setup, or choose a model in another format (docs/models.md)"
        ) from error
    engine: Engine | EndpointServer = engine_class(artifact, settings)
    return engine


def load_embedder(settings: Settings) -> Engine:
    """Load the embedding model; raises ``ModelLoadError``."""
    if settings.embedding_backend == "fake":
        from engines.fake_encoders import FakeEmbedder

        return FakeEmbedder()
    from engines.encoders.embedding_recipe import openvino_can_embed
    from models.resolve import resolve_encoder

    artifact = resolve_encoder(settings.embedding_model, "embedding", _hub(settings))
    logger.info("loading %s", artifact.model)
    if _on_openvino(openvino_can_embed, artifact.path, "EMBEDDING_BACKEND", settings.embedding_backend):
        from engines.encoders.openvino import OpenVinoEmbedder

        return OpenVinoEmbedder(artifact, settings)
    from engines.encoders.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(artifact, settings)


def load_reranker(settings: Settings) -> Engine:
    """Load the cross-encoder; raises ``ModelLoadError``."""
    if settings.rerank_backend == "fake":
        from engines.fake_encoders import FakeReranker

        return FakeReranker()
    from engines.encoders.ranking_recipe import openvino_can_rank
    from models.resolve import resolve_encoder

    artifact = resolve_encoder(settings.rerank_model or "", "rerank", _hub(settings))
    logger.info("loading %s", artifact.model)
    if _on_openvino(openvino_can_rank, artifact.path, "RERANK_BACKEND", settings.rerank_backend):
        from engines.encoders.openvino import OpenVinoReranker

        return OpenVinoReranker(artifact, settings)
    from engines.encoders.sentence_transformers import SentenceTransformersReranker

    return SentenceTransformersReranker(artifact, settings)


LOADERS: Mapping[str, Callable[[Settings], Engine | EndpointServer]] = {
    "generator": load_generator,
    "embedder": load_embedder,
    "reranker": load_reranker,
}
"""By the worker's role."""


def _on_openvino(suits: Callable[[Path], bool], folder: Path, setting: str, backend: EncoderBackend) -> bool:
    if backend == "sentence_transformers":
        return False
    suitable = suits(folder)
    if backend == "openvino" and not suitable:
        raise ModelLoadError(f"OpenVINO cannot compute this model: set {setting}=sentence_transformers")
    return suitable


def _hub(settings: Settings) -> "ModelHub":
    from models.hub import ModelHub
    from models.remote.pins import ModelPins

    return ModelHub(ModelPins(settings.model_cache_dir))
