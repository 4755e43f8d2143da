"""Settings of the LLM service, from the environment and the shared ``.env`` files.

Environment variables override files, and later files override earlier ones: the repository's ``.env``,
``backend/.env`` (shared by both apps), ``llm_service/.env``.
"""

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from service_kit.addresses import is_http_address, is_loopback
from service_kit.settings import CommonSettings, KeysFile, KeyText, StringList, choose_env_files, load

APP_DIR = Path(__file__).resolve().parent.parent
ROOT_DIR = APP_DIR.parent


def env_files() -> tuple[Path, ...]:
    """Return the ``.env`` files to read; later ones take precedence."""
    return choose_env_files(ROOT_DIR / ".env", ROOT_DIR / "backend" / ".env", APP_DIR / ".env")


EncoderBackend = Literal["auto", "openvino", "sentence_transformers", "fake"]


class Settings(CommonSettings):
    """All settings of the LLM service."""

    app_name: str = "LLM Microservice"
    app_version: str = "1.0.0"

    llm_backend: Literal["auto", "llamacpp", "openvino", "transformers", "openai", "fake"] = "auto"
    """``openai``: the server at ``LLM_UPSTREAM_URL`` generates; everything else, such as embeddings, stays here."""
    llm_model: str = Field(default="Qwen/Qwen3-1.7B", min_length=1)
    llm_offline_model: Literal["embedded", "none"] = "embedded"
    llm_device_map: Literal["auto", "cpu", "cuda"] = "auto"
    llm_dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    llm_max_new_tokens: int = Field(default=256, ge=1, le=32768)
    llm_temperature: float = Field(default=0.35, ge=0.0, le=2.0)
    llm_top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    llm_enable_thinking: bool = False
    llm_strict_fields: bool = False

    llm_upstream_url: str | None = None
    """Address of an OpenAI-compatible API; ``/v1`` is appended to an address without a path."""
    llm_upstream_api_key: SecretStr | None = None
    llm_upstream_model: str | None = None
    """The upstream's name of the model; defaults to ``LLM_MODEL``, then to the upstream's only model."""
    llm_upstream_ready_path: str | None = Field(default=None, pattern=r"^/[!-~]*$")
    """Path of the upstream's readiness check, from the server's root; default is its list of models."""
    llm_upstream_template_arguments: bool = True
    """Send ``chat_template_kwargs``; disable for APIs that reject unknown fields."""
    llm_upstream_connect_timeout_s: float = Field(default=5.0, gt=0, le=60)

    embedding_model: str = Field(default="sentence-transformers/all-MiniLM-L6-v2", min_length=1)
    embedding_backend: EncoderBackend = "auto"
    embedding_dimension: int = Field(default=384, ge=1, le=16384)

    rerank_model: str | None = Field(default=None, min_length=1)
    """Cross-encoder behind ``/v1/rerank``; none is loaded by default."""
    rerank_backend: EncoderBackend = "auto"

    huggingface_api_key: SecretStr | None = None
    hf_token: SecretStr | None = None
    hf_home: Path | None = None
    hf_endpoint: str | None = None
    hf_hub_offline: bool = False
    cors_origins: StringList = Field(["http://localhost:8000", "http://127.0.0.1:8000"])

    llm_service_host: str = "127.0.0.1"
    llm_service_port: int = Field(default=8001, ge=1, le=65535)
    llm_service_api_key: KeyText | None = None
    """Key with the scope ``admin``."""
    llm_service_keys_file: KeysFile | None = None

    llm_max_batch: int = Field(default=16, ge=1, le=256)
    """Maximum number of concurrent generation requests."""
    llm_max_queue: int = Field(default=64, ge=0, le=10000)
    """Maximum number of queued requests; more are refused."""
    llm_memory_gb: float = Field(
        default=0.0, ge=0.0, le=1024.0, validation_alias=AliasChoices("llm_memory_gb", "llm_kv_cache_gb")
    )
    """Memory of the generator in addition to its weights, in GB: KV cache, prefix cache, compiled kernels; 0 uses a
    share of the machine's memory. ``LLM_KV_CACHE_GB`` is another name of it."""
    llm_max_batched_tokens: int = Field(default=0, ge=0, le=65536)
    """Prompt tokens per step; 0: measured at start so that a step takes 0.25 s, several short prompts up to 256."""
    llm_reproducible: bool = False
    """Ignored; accepted until the next release."""
    llm_prompt_lookup: Literal["auto", "off"] = "off"
    """Ignored; accepted until the next release."""
    llm_stream_interval_ms: float = Field(default=40.0, ge=0.0, le=1000.0)
    """Minimum interval between pieces of a stream after the first, in milliseconds (OpenVINO)."""
    llm_request_timeout_s: float = Field(default=300.0, gt=0, le=86400)
    llm_stall_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds without a heartbeat of its event loop after which a worker is replaced."""
    llm_load_timeout_s: float = Field(default=3600.0, gt=0, le=86400)
    llm_drain_grace_s: float = Field(default=30.0, ge=0, le=3600)
    llm_cache_mb: float = Field(default=64.0, ge=0.0, le=1024.0 * 1024.0)
    """Size of the cache of answers to greedy and seeded requests, in MiB; 0 disables caching and sharing."""
    llm_cache_ttl_s: float = Field(default=3600.0, gt=0, le=365 * 86400)
    embed_cache_mb: float = Field(default=32.0, ge=0.0, le=1024.0 * 1024.0)
    """Size of the embedding cache in MiB; 0 disables it."""
    embed_max_texts: int = Field(default=2048, ge=1, le=100000)
    """Maximum number of texts to embed, or documents to rank, in one request."""
    embed_max_queue: int = Field(default=64, ge=0, le=10000)
    max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=1024**3)
    model_cache_dir: Path = ROOT_DIR / ".data" / "models"
    """Folder of converted models; downloads stay in the Hugging Face cache."""

    @field_validator("llm_upstream_url")
    @classmethod
    def _plain_http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_http_address(value):
            raise ValueError("must be an address like http://host:8000 or https://host/v1")
        parts = urlsplit(value)
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
        if not is_loopback(self.llm_service_host) and not self.has_keys:
            raise ValueError(
                f"LLM_SERVICE_HOST is {self.llm_service_host}, which other machines can reach: set LLM_SERVICE_API_KEY "
                "or LLM_SERVICE_KEYS_FILE"
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
    def has_keys(self) -> bool:
        """Whether requests need an API key."""
        return self.llm_service_api_key is not None or self.llm_service_keys_file is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys and tokens to mask in logs."""
        held = (self.llm_service_api_key, self.llm_upstream_api_key, self.huggingface_api_key, self.hf_token)
        return tuple(secret.get_secret_value() for secret in held if secret is not None)

    @property
    def ignored(self) -> list[str]:
        """Variables in use that have no effect any more."""
        return [name.upper() for name in ("llm_reproducible", "llm_prompt_lookup") if name in self.model_fields_set]

    @property
    def hub_environment(self) -> dict[str, str]:
        """Environment variables of the Hugging Face library, including values set in a file.
        ``HUGGINGFACE_API_KEY`` takes precedence over the library's own name of the token.
        """
        token = self.huggingface_api_key or self.hf_token
        values = {
            "HF_TOKEN": token.get_secret_value() if token else "",
            "HF_HOME": str(self.hf_home or ""),
            "HF_ENDPOINT": self.hf_endpoint or "",
            "HF_HUB_OFFLINE": "1" if self.hf_hub_offline else "",
            # Without it the library's first request reports which programs run here.
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return {name: value for name, value in values.items() if value}


settings = load(Settings, env_files())
