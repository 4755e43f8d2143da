"""Models of the sentence-transformers library, for its embedder and its reranker."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from config.settings import Settings
from engines.base import ModelLoadError
from engines.transformers.loading_errors import LOADING_ERRORS, loading_advice
from models.artifacts import ModelArtifact

library: Any = transformers
"""Not checked by types: its annotations are partial."""


def load_model(kind: Callable[..., Any], artifact: ModelArtifact, settings: Settings) -> Any:
    """Return a model of class ``kind`` in float32, on the first GPU or else the CPU; raise ``ModelLoadError``."""
    library.utils.logging.disable_progress_bar()
    try:
        return kind(
            str(artifact.path),
            device="cpu" if settings.llm_device_map == "cpu" else None,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )
    except LOADING_ERRORS as error:
        raise ModelLoadError(loading_advice("sentence-transformers", artifact.model, artifact.path, error)) from error
