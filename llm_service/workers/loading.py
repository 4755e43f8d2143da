"""Choice of a worker's engine. The only module that imports engines, each by name and on demand."""

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from config.settings import EncoderBackend, Settings
from engines.base import Engine, ModelLoadError
from engines.llamacpp.endpoint import EndpointServer

if TYPE_CHECKING:
    from models.hub import ModelHub

AnyEngine = Engine | EndpointServer
ENGINES = {
    ("generator", "fake"): ("engines.fake", "FakeGenerator"),
    ("generator", "llamacpp"): ("engines.llamacpp.server", "LlamaCppServer"),
    ("generator", "openvino"): ("engines.openvino.generator", "OpenVinoGenerator"),
    ("generator", "transformers"): ("engines.transformers.generator", "TransformersGenerator"),
    ("embedding", "fake"): ("engines.fake_encoders", "FakeEmbedder"),
    ("embedding", "openvino"): ("engines.encoders.openvino", "OpenVinoEmbedder"),
    ("embedding", "sentence_transformers"): ("engines.encoders.sentence_transformers", "SentenceTransformersEmbedder"),
    ("rerank", "fake"): ("engines.fake_encoders", "FakeReranker"),
    ("rerank", "openvino"): ("engines.encoders.openvino", "OpenVinoReranker"),
    ("rerank", "sentence_transformers"): ("engines.encoders.sentence_transformers", "SentenceTransformersReranker"),
}
"""Module and class by task and backend; only the selected one is imported."""

logger = logging.getLogger("worker")


def load_generator(settings: Settings) -> AnyEngine:
    """Load the language model; raises ``ModelLoadError``."""
    if settings.llm_backend == "fake":
        return _make("generator", "fake")
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
    return _make("generator", artifact.backend, artifact, settings)


def load_embedder(settings: Settings) -> AnyEngine:
    """Load the embedding model; raises ``ModelLoadError``."""
    return _load_encoder("embedding", settings.embedding_model, settings.embedding_backend, settings)


def load_reranker(settings: Settings) -> AnyEngine:
    """Load the cross-encoder; raises ``ModelLoadError``."""
    return _load_encoder("rerank", settings.rerank_model or "", settings.rerank_backend, settings)


LOADERS: Mapping[str, Callable[[Settings], AnyEngine]] = {
    "generator": load_generator,
    "embedder": load_embedder,
    "reranker": load_reranker,
}
"""By the worker's role."""


def _load_encoder(task: str, name: str, backend: EncoderBackend, settings: Settings) -> AnyEngine:
    if backend == "fake":
        return _make(task, "fake")
    from engines.encoders import embedding_recipe, ranking_recipe
    from models.resolve import resolve_encoder

    artifact = resolve_encoder(name, task, _hub(settings))
    logger.info("loading %s", artifact.model)
    if backend != "sentence_transformers":
        recipes = embedding_recipe if task == "embedding" else ranking_recipe
        suits_openvino = recipes.read_recipe(artifact.path).suits_openvino
        if backend == "openvino" and not suits_openvino:
            setting = f"{task.upper()}_BACKEND"
            raise ModelLoadError(f"OpenVINO cannot compute this model: set {setting}=sentence_transformers")
        backend = "openvino" if suits_openvino else "sentence_transformers"
    return _make(task, backend, artifact, settings)


def _make(task: str, backend: str, *arguments: Any) -> AnyEngine:
    module, name = ENGINES[task, backend]
    try:
        engine_class = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"this model needs the {backend} engine, whose package {error.name} is not installed: run "
            f"python dev.py setup, or choose a model in another format (docs/models.md)"
        ) from error
    engine: AnyEngine = engine_class(*arguments)
    return engine


def _hub(settings: Settings) -> "ModelHub":
    from models.hub import ModelHub
    from models.remote.pins import ModelPins

    return ModelHub(ModelPins(settings.model_cache_dir))
