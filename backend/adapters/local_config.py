"""Which models the fallback runs, and how. Imports nothing that is heavy or reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from config.settings import Settings

EMBEDDED = "embedded"
EMBEDDED_EMBEDDER_ID = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class LocalModelConfig:
    """The local models and the process they live in; times in seconds."""

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
    hub_token: str | None = field(default=None, repr=False)
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
    """Jobs that may wait for each model; one more is refused."""
    reload_after_s: float = 60.0
    """A model that could not be loaded is not tried again sooner."""
    idle_s: float | None = 300.0
    """After so long without a job the process ends, which gives its memory back; ``None``: never."""
    stall_timeout_s: float = 20.0
    """A process that has loaded its model and is silent for so long is killed."""
    cancel_grace_s: float = 30.0
    """So long may a job go on that was cancelled; reading a prompt cannot be interrupted."""
    load_limit_s: float = 900.0
    """A model that is still not loaded then, and is not being fetched, never will be."""
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
        hub_token=source.hub_token,
        hub_cache=source.hf_home / "hub" if source.hf_home else None,
        hub_offline=source.hf_hub_offline,
        may_download=not source.llm_service_enabled,
        unpacked_cache=source.data_dir / "models",
        timeout_s=source.llm_service_timeout,
        max_waiting=source.llm_local_max_waiting,
        idle_s=source.llm_local_idle_timeout or None,
        log_level=source.log_level,
        log_format=source.log_format,
    )
