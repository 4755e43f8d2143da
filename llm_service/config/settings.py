"""Settings of the LLM service, from the environment and the shared ``.env`` files.

Environment variables win over files; of the files, later ones win: the repository's ``.env``,
``backend/.env`` (which both apps share), ``llm_service/.env``. ``ENV_FILES`` replaces that list
(paths joined by the platform's path separator, or ``none``): containers and tests use it.
"""

import ipaddress
import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

APP_DIR = Path(__file__).resolve().parent.parent
ROOT_DIR = APP_DIR.parent


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _env_files() -> tuple[Path, ...]:
    override = os.environ.get("ENV_FILES", "")
    if override == "none":
        return ()
    if override:
        return tuple(Path(part) for part in override.split(os.pathsep) if part)
    return (ROOT_DIR / ".env", ROOT_DIR / "backend" / ".env", APP_DIR / ".env")


class Settings(BaseSettings):
    """Everything that can be configured; names in the environment are the upper-case field names."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        case_sensitive=False,
        extra="ignore",
        validate_default=True,
        allow_inf_nan=False,
        env_ignore_empty=True,  # ``LLM_MODEL=`` in a file is a line to fill in, not a model without a name
    )

    app_name: str = "LLM Microservice"
    app_version: str = "1.0.0"
    debug: bool = False

    llm_backend: Literal["auto", "openvino", "transformers", "openai", "fake"] = "auto"
    """``openai``: the server at ``LLM_UPSTREAM_URL`` generates, this one keeps the embeddings and all the rest."""
    llm_model: str = Field(default="Qwen/Qwen3-1.7B", min_length=1)
    llm_offline_model: Literal["embedded", "none"] = "embedded"
    llm_device_map: Literal["auto", "cpu", "cuda"] = "auto"
    llm_dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    llm_max_new_tokens: int = Field(default=256, ge=1, le=32768)
    llm_temperature: float = Field(default=0.35, ge=0.0, le=2.0)
    llm_top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    llm_enable_thinking: bool = False

    llm_upstream_url: str | None = None
    """Where an OpenAI-compatible API is; ``/v1`` is added to an address that names only a server."""
    llm_upstream_api_key: SecretStr | None = None
    llm_upstream_model: str | None = None
    """Its own name for the model; without one ``LLM_MODEL``, or else the only one it has."""
    llm_upstream_ready_path: str | None = Field(default=None, pattern=r"^/[!-~]*$")
    """What is asked whether it is ready, from the server's root, in place of its list of models."""
    llm_upstream_template_arguments: bool = True
    """Send ``chat_template_kwargs``; off for APIs that refuse fields they don't know."""
    llm_upstream_connect_timeout_s: float = Field(default=5.0, gt=0, le=60)

    embedding_model: str = Field(default="sentence-transformers/all-MiniLM-L6-v2", min_length=1)
    embedding_backend: Literal["auto", "openvino", "sentence_transformers", "fake"] = "auto"
    embedding_dimension: int = Field(default=384, ge=1, le=16384)

    huggingface_api_key: SecretStr | None = None
    hf_token: SecretStr | None = None
    hf_home: Path | None = None
    hf_endpoint: str | None = None
    hf_hub_offline: bool = False
    cors_origins: Annotated[list[str], NoDecode] = ["http://localhost:8000", "http://127.0.0.1:8000"]

    llm_service_host: str = "127.0.0.1"
    llm_service_port: int = Field(default=8001, ge=1, le=65535)
    llm_service_api_key: SecretStr | None = None

    llm_max_batch: int = Field(default=16, ge=1, le=256)
    """Requests generated at the same time."""
    llm_max_queue: int = Field(default=64, ge=0, le=10000)
    """Requests that may wait for a place; one more is refused."""
    llm_kv_cache_gb: float = Field(default=0.0, ge=0.0, le=1024.0)
    """Memory for the KV cache in GB; 0 sizes it from the model and the machine."""
    llm_max_batched_tokens: int = Field(default=0, ge=0, le=65536)
    """Prompt tokens read in one step; 0 measures at start how many take a quarter of a second."""
    llm_reproducible: bool = True
    """Answer requests with a seed one at a time, so that the same one always gives the same text."""
    llm_prompt_lookup: Literal["auto", "off"] = "auto"
    """Copy what answers repeat from their sources, where answers of that kind have done so."""
    llm_stream_interval_ms: float = Field(default=40.0, ge=0.0, le=1000.0)
    """Milliseconds from one piece of a stream to the next, at least; the first word comes at once (OpenVINO)."""
    llm_request_timeout_s: float = Field(default=300.0, gt=0, le=86400)
    llm_stall_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """A worker whose loop has not turned for so long is replaced."""
    llm_load_timeout_s: float = Field(default=3600.0, gt=0, le=86400)
    llm_drain_grace_s: float = Field(default=30.0, ge=0, le=3600)
    llm_cache_mb: float = Field(default=64.0, ge=0.0, le=1024.0 * 1024.0)
    """Memory for answers to greedy and seeded requests in MiB; with 0 nothing is kept or shared."""
    llm_cache_ttl_s: float = Field(default=3600.0, gt=0, le=365 * 86400)
    embed_cache_mb: float = Field(default=32.0, ge=0.0, le=1024.0 * 1024.0)
    """Memory for vectors of texts that were embedded before in MiB; 0 keeps none."""
    embed_max_texts: int = Field(default=2048, ge=1, le=100000)
    embed_max_queue: int = Field(default=64, ge=0, le=10000)
    max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=1024**3)
    model_cache_dir: Path = ROOT_DIR / ".data" / "models"
    """Where converted models are kept; downloads stay in the Hugging Face cache."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"
    """``auto`` is text on a terminal and JSON elsewhere."""
    tracing: Literal["off", "otlp"] = "off"
    """``otlp`` sends spans to where OpenTelemetry's own variables say (``otel_environment``)."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _comma_separated_or_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [origin.strip() for origin in value.split(",") if origin.strip()]

    @field_validator("llm_upstream_url")
    @classmethod
    def _plain_http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address like http://host:8000 or https://host/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user or password: addresses are logged; set LLM_UPSTREAM_API_KEY")
        return value

    @field_validator("llm_upstream_api_key")
    @classmethod
    def _fit_for_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("must be ASCII characters without spaces")
        return value

    @model_validator(mode="after")
    def _an_upstream_has_an_address(self) -> Self:
        if self.llm_backend == "openai" and self.llm_upstream_url is None:
            raise ValueError("LLM_BACKEND is openai: set LLM_UPSTREAM_URL to where the OpenAI-compatible server is")
        return self

    @model_validator(mode="after")
    def _listening_beyond_loopback_needs_a_key(self) -> Self:
        if not is_loopback(self.llm_service_host) and self.llm_service_api_key is None:
            raise ValueError(
                f"LLM_SERVICE_HOST is {self.llm_service_host}, which others can reach: set LLM_SERVICE_API_KEY too"
            )
        return self

    @model_validator(mode="after")
    def _thinking_needs_sampling(self) -> Self:
        if self.llm_enable_thinking and self.llm_temperature == 0:
            raise ValueError(
                "LLM_ENABLE_THINKING is true and LLM_TEMPERATURE is 0: a model that thinks repeats itself without end "
                "when it decodes greedily; raise LLM_TEMPERATURE (0.6 is recommended) or turn thinking off"
            )
        return self

    @property
    def hub_environment(self) -> dict[str, str]:
        """What the Hugging Face library reads from the environment, also when it was set in a file.
        The plan's name for the token wins over the library's.
        """
        token = self.huggingface_api_key or self.hf_token
        values = {
            "HF_TOKEN": token.get_secret_value() if token else "",
            "HF_HOME": str(self.hf_home or ""),
            "HF_ENDPOINT": self.hf_endpoint or "",
            "HF_HUB_OFFLINE": "1" if self.hf_hub_offline else "",
            # Otherwise its first request tells which programs run here.
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return {name: value for name, value in values.items() if value}


def otel_environment() -> dict[str, str]:
    """Return OpenTelemetry's own variables as the files have them: its SDK reads the process's environment only."""
    found: dict[str, str] = {}
    for path in _env_files():
        found |= {name: value for name, value in dotenv_values(path).items() if name.startswith("OTEL_") and value}
    return found


def load_settings() -> Settings:
    """Build the settings; a bad value ends the start with one line that names the variable."""
    try:
        return Settings(_env_file=_env_files())  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise SystemExit(f"Configuration error: {name}: {first['msg']}") from None


settings = load_settings()
