"""The backend's configuration, read once: environment variables beat ``.env`` files."""

import ipaddress
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

BACKEND_ROOT = Path(__file__).resolve().parent.parent
PROJECT_ROOT = BACKEND_ROOT.parent
DEFAULT_ENV_FILES = (PROJECT_ROOT / ".env", BACKEND_ROOT / ".env")

MAX_PERSONA_CHARS = 1_000
_PASSWORD = re.compile(r"password\s*=\s*('[^']*'|[^\s&]+)")

_Url = Annotated[str, Field(min_length=1)]
_Finite = Field(allow_inf_nan=False)


class Settings(BaseSettings):
    """Every field can be set by the environment variable of the same name in upper case."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    app_name: str = "MIAPPBORA backend"
    app_version: str = "0.1.0"
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"
    """``auto`` is text on a terminal and JSON elsewhere."""
    tracing: Literal["off", "otlp"] = "off"
    """``otlp`` sends spans to where OpenTelemetry's own variables say (``otel_environment``)."""

    backend_host: str = "127.0.0.1"
    backend_port: int = Field(8000, ge=0, le=65535)
    backend_api_key: SecretStr | None = None
    cors_origins: Annotated[list[str], NoDecode] = [
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://localhost:3000",
        "http://localhost:5173",
    ]
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024)

    llm_service_url: _Url = "http://localhost:8001"
    llm_service_enabled: bool = True
    llm_service_timeout: Annotated[float, _Finite] = Field(60.0, gt=0)
    llm_service_api_key: SecretStr | None = None
    llm_service_connect_timeout: Annotated[float, _Finite] = Field(2.0, gt=0)
    llm_service_read_timeout: Annotated[float, _Finite] | None = Field(None, gt=0)
    llm_service_write_timeout: Annotated[float, _Finite] = Field(10.0, gt=0)
    llm_service_pool_timeout: Annotated[float, _Finite] = Field(5.0, gt=0)
    llm_service_max_connections: int = Field(64, ge=1)
    llm_service_retry_ratio: Annotated[float, _Finite] = Field(0.1, ge=0, le=1)
    llm_service_breaker_failures: int = Field(3, ge=1)
    llm_service_breaker_reset: Annotated[float, _Finite] = Field(3.0, gt=0)

    llm_model: str = "Qwen/Qwen3-1.7B"
    llm_offline_model: Literal["embedded", "none"] = "embedded"
    llm_device_map: str = "auto"
    llm_dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    llm_max_new_tokens: int = Field(256, ge=1)
    llm_temperature: Annotated[float, _Finite] = Field(0.35, ge=0, le=2)
    llm_top_p: Annotated[float, _Finite] = Field(0.9, gt=0, le=1)
    llm_enable_thinking: bool = False
    llm_local_idle_timeout: Annotated[float, _Finite] = Field(300.0, ge=0)
    """Seconds without a question after which the local models give their memory back; 0: never."""
    llm_local_max_waiting: int = Field(4, ge=0)
    huggingface_api_key: SecretStr | None = None
    hf_token: SecretStr | None = None
    hf_home: Path | None = None
    hf_hub_offline: bool = False

    embedding_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    embedding_dimension: int = Field(384, ge=1)

    database_url: SecretStr | None = None
    database_pool_size: int = Field(8, ge=1)
    database_timeout: Annotated[float, _Finite] = Field(5.0, gt=0)
    data_dir: Path = PROJECT_ROOT / ".data"
    sample_lexicon: str = str(BACKEND_ROOT / "data" / "sample_lexicon.json")
    """A file in the users' dictionary format, loaded into an empty database; ``none`` loads nothing."""

    rag_top_k: int = Field(5, ge=1, le=50)
    rag_max_new_tokens: int = Field(96, ge=1)
    """Upper bound of an answer on top of ``llm_max_new_tokens``: one short sentence is asked for."""
    page_suggestions: Annotated[list[str], NoDecode] = [
        "¿Cómo se dice perro en bora?",
        "¿Cómo se dice agua en bora?",
        "¿Qué significa nuhba en español?",
        "¿Cómo se dice cantar en bora?",
    ]
    """Questions that the page offers to begin with; the sample lexicon answers these."""

    rag_persona_file: Path | None = None
    """Who the mentor is, in Spanish and in the operator's own words, at most ``MAX_PERSONA_CHARS`` characters."""

    @field_validator("rag_persona_file")
    @classmethod
    def _check_persona(cls, value: Path | None) -> Path | None:
        if value is not None:
            _read_persona(value)
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [origin.strip() for origin in value.split(",") if origin.strip()]

    @field_validator("page_suggestions", mode="before")
    @classmethod
    def _split_suggestions(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [text.strip() for text in value.split("|") if text.strip()]

    @field_validator("llm_service_url")
    @classmethod
    def _check_urls(cls, value: str) -> str:
        urls = _split_urls(value)
        if not urls:
            raise ValueError("holds no URL")
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("every URL must look like http://host:port")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _protect_open_ports(self) -> "Settings":
        if not is_loopback(self.backend_host) and self.backend_api_key is None:
            raise ValueError(
                f"BACKEND_HOST: listening on {self.backend_host} needs BACKEND_API_KEY; "
                "without a key only a loopback address such as 127.0.0.1 is allowed"
            )
        return self

    @property
    def llm_service_urls(self) -> tuple[str, ...]:
        """The LLM service's addresses without trailing slash, in the order given."""
        return _split_urls(self.llm_service_url)

    @property
    def sample_lexicon_path(self) -> Path | None:
        """The file to load into an empty database, if any."""
        return None if self.sample_lexicon.lower() == "none" else Path(self.sample_lexicon)

    @property
    def rag_persona(self) -> str | None:
        """What the model is told that it is, instead of the built-in text."""
        return None if self.rag_persona_file is None else _read_persona(self.rag_persona_file)

    @property
    def shared_metrics(self) -> Path | None:
        """Where several processes of one port count together. prometheus-client reads the variable itself, so that
        no ``.env`` can set it.
        """
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        return Path(folder) if folder else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that no log line may hold: keys, tokens, and the passwords inside addresses."""
        keys = [secret(self.backend_api_key), secret(self.llm_service_api_key), self.hub_token]
        addresses = [*self.llm_service_urls, secret(self.database_url) or ""]
        return tuple(text for text in [*keys, *(word for url in addresses for word in _passwords(url))] if text)

    @property
    def hub_token(self) -> str | None:
        """The model hub's token; the plan's name ``HUGGINGFACE_API_KEY`` wins over ``HF_TOKEN``."""
        return secret(self.huggingface_api_key) or secret(self.hf_token)


def _passwords(address: str) -> Iterator[str]:
    """Yield what in a URL or in Postgres's ``name=value`` form opens a door, as written and as meant."""
    found = [match.strip("'") for match in _PASSWORD.findall(address)]
    userinfo = address.partition("://")[2].rpartition("@")[0]
    user, colon, password = userinfo.partition(":")
    found.append(password if colon or not address.startswith("http") else user)
    for text in found:
        yield text
        yield unquote(text)


def secret(value: SecretStr | None) -> str | None:
    """Return the plain text of an optional secret."""
    return None if value is None else value.get_secret_value()


def _read_persona(path: Path) -> str:
    try:
        text = " ".join(path.read_text(encoding="utf-8-sig").split())
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError("save the file as UTF-8") from error
    if not text or len(text) > MAX_PERSONA_CHARS:
        raise ValueError(f"the file must hold 1 to {MAX_PERSONA_CHARS} characters, it has {len(text)}")
    return text


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def env_files() -> tuple[Path, ...]:
    """Return the ``.env`` files to read, later ones win; ``ENV_FILES`` (``none`` or a path list) replaces them."""
    override = os.environ.get("ENV_FILES")
    if not override:
        return DEFAULT_ENV_FILES
    if override.strip().lower() == "none":
        return ()
    return tuple(Path(part) for part in override.split(os.pathsep) if part)


def otel_environment() -> dict[str, str]:
    """Return OpenTelemetry's own variables as the files have them: its SDK reads the process's environment only."""
    found: dict[str, str] = {}
    for path in env_files():
        values = dotenv_values(path, encoding="utf-8-sig")
        found |= {name: value for name, value in values.items() if name.startswith("OTEL_") and value}
    return found


def load_settings(files: Sequence[Path] | None = None) -> Settings:
    """Read the configuration; a bad one ends the process with one line that names the variable."""
    try:
        return Settings(_env_file=env_files() if files is None else files)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SystemExit("configuration error: " + "; ".join(_describe(item) for item in error.errors())) from None
    except SettingsError as error:
        raise SystemExit(f"configuration error: {error}") from None
    except UnicodeDecodeError:
        names = ", ".join(str(path) for path in (env_files() if files is None else files))
        raise SystemExit(f"configuration error: save as UTF-8: {names}") from None


def _describe(item: Any) -> str:
    """Return one line for one fault, without the value: it may be a secret."""
    message = str(item["msg"]).removeprefix("Value error, ").replace("\n", " ")
    name = "_".join(str(part) for part in item["loc"][:1]).upper()
    return f"{name}: {message}" if name else message


def _split_urls(value: str) -> tuple[str, ...]:
    return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())


settings = load_settings()
