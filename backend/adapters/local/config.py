"""Configuration of the fallback's models. Imports nothing that is heavy or reads the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from config.settings import Settings

Kind = Literal["generator", "embedder"]
"""Each model has a separate process, so that neither waits for the other or ends with it."""
_LOAD_S = 30.0
"""Seconds added to ``LLM_SERVICE_TIMEOUT``, since the process may have to start first."""
EMBEDDED = "embedded"
EMBEDDED_EMBEDDER_ID = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class LocalModelConfig:
    """The local models and their processes; plain JSON values, times in seconds."""

    model: str = "Qwen/Qwen3-1.7B"
    offline_model: str = EMBEDDED
    device_map: str = "auto"
    dtype: str = "auto"
    max_new_tokens: int = 256
    temperature: float = 0.35
    top_p: float = 0.9
    enable_thinking: bool = False
    embedding_model: str = EMBEDDED_EMBEDDER_ID
    dimension: int = 384
    hub_cache: str | None = None
    timeout_s: float = 60.0
    """For a whole call: start and load of the model included."""
    max_waiting: int = 64
    """Requests that may wait for each model; one more is refused."""
    retry_load_s: float = 60.0
    """A model that could not be loaded is not tried again sooner."""
    idle_s: float | None = 300.0
    """A process without a request for this long ends, which frees its memory; ``None``: never."""
    stall_timeout_s: float = 20.0
    """Longest silence of a process that has loaded its model."""
    log_level: str = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"


def config_from_settings(source: Settings) -> LocalModelConfig:
    """Return the part of the settings that concerns the local models."""
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
        hub_cache=str(source.hf_home / "hub") if source.hf_home else None,
        timeout_s=source.llm_service_timeout + _LOAD_S,
        max_waiting=source.llm_local_max_waiting,
        idle_s=source.llm_local_idle_timeout or None,
        log_level=source.log_level,
        log_format=source.log_format,
    )
