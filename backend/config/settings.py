"""The backend's configuration, read once; environment variables override ``.env`` files."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict
from service_kit.addresses import is_http_address, is_loopback
from service_kit.settings import CommonSettings, KeysFile, KeyText, StringList, choose_env_files, load

BACKEND_ROOT = Path(__file__).resolve().parent.parent
PROJECT_ROOT = BACKEND_ROOT.parent

MAX_PERSONA_CHARS = 1_000
_LANGUAGES = """
arabic armenian basque catalan danish dutch english finnish french german greek hindi hungarian indonesian irish italian
lithuanian nepali norwegian portuguese romanian russian serbian spanish swedish tamil turkish yiddish
"""
POSTGRES_LANGUAGES = frozenset(_LANGUAGES.split())
"""Text search configurations that come with Postgres, besides ``simple``."""
MAX_EMBEDDING_DIMENSION = 2_000
"""The longest vectors that pgvector's index holds."""
_PASSWORD = re.compile(r"password\s*=\s*('[^']*'|[^\s&]+)")


class Settings(CommonSettings):
    """All settings of the backend."""

    model_config = SettingsConfigDict(frozen=True)

    app_name: str = "MIAPPBORA backend"
    app_version: str = "1.0.0"

    backend_host: str = "127.0.0.1"
    backend_port: int = Field(8000, ge=0, le=65535)
    backend_api_key: KeyText | None = None
    """Key with the scope ``admin``."""
    backend_keys_file: KeysFile | None = None
    cors_origins: StringList = Field(
        ["http://localhost:8000", "http://127.0.0.1:8000", "http://localhost:3000", "http://localhost:5173"]
    )
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    upload_max_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    """Size limit of an uploaded file, which is held in memory."""

    llm_service_url: str = Field("http://localhost:8001", min_length=1)
    llm_service_enabled: bool = True
    llm_service_timeout: float = Field(60.0, gt=0)
    llm_service_api_key: SecretStr | None = None
    llm_service_connect_timeout: float = Field(2.0, gt=0)
    llm_service_read_timeout: float | None = Field(None, gt=0)
    llm_service_write_timeout: float = Field(10.0, gt=0)
    llm_service_pool_timeout: float = Field(5.0, gt=0)
    llm_service_max_connections: int = Field(64, ge=1)
    llm_service_retry_ratio: float = Field(0.1, ge=0, le=1)
    llm_service_breaker_failures: int = Field(3, ge=1)
    llm_service_breaker_reset: float = Field(3.0, gt=0)

    llm_model: str = "Qwen/Qwen3-1.7B"
    llm_offline_model: Literal["embedded", "none"] = "embedded"
    llm_device_map: Literal["auto", "cpu", "cuda"] = "auto"
    llm_dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    llm_max_new_tokens: int = Field(256, ge=1)
    llm_temperature: float = Field(0.35, ge=0, le=2)
    llm_top_p: float = Field(0.9, gt=0, le=1)
    llm_enable_thinking: bool = False
    llm_local_idle_timeout: float = Field(300.0, ge=0)
    """Idle seconds after which a local model's process ends; 0: never."""
    llm_local_max_waiting: int = Field(64, ge=0)
    huggingface_api_key: SecretStr | None = None
    hf_token: SecretStr | None = None
    hf_home: Path | None = None
    hf_endpoint: str | None = None
    hf_hub_offline: bool = False

    embedding_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    embedding_dimension: int = Field(384, ge=1, le=MAX_EMBEDDING_DIMENSION)

    database_url: SecretStr | None = None
    database_pool_size: int = Field(8, ge=1)
    database_timeout: float = Field(5.0, gt=0)
    data_dir: Path = PROJECT_ROOT / ".data"
    sample_lexicon: str = str(BACKEND_ROOT / "data" / "sample_lexicon.json")
    """Dictionary file to load into an empty database; ``none`` loads nothing."""

    mentor: Literal["bora", "none"] = "bora"
    """``none``: no dictionary and no Bora; all questions go to the texts."""
    rag_text_languages: StringList = Field(["spanish", "english", "portuguese"])
    """Languages whose word forms the full-text search of texts knows, besides words as they stand."""
    rag_text_threshold: float = Field(0.5, ge=0, le=1)
    """Lowest relevance of a passage that is answered from; ``dev.py fit`` finds it for questions of one's own."""
    rerank_model: str = ""
    """The LLM service's cross-encoder; where one is named, it orders passages that were found by meaning only."""
    rag_passage_tokens: int = Field(1_200, ge=200)
    """Tokens of passages in a prompt, estimated from their characters."""
    rag_top_k: int = Field(5, ge=1, le=50)
    rag_wording: Literal["auto", "always", "never"] = "auto"
    """When a model words an answer: where no entry answers the question, for every question, or never."""
    rag_temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy: the same question is answered from the LLM service's response cache."""
    rag_max_new_tokens: int = Field(96, ge=1)
    """Token limit of an answer, in addition to ``llm_max_new_tokens``; the prompt requests one short sentence."""
    page_suggestions: Annotated[list[str], NoDecode] = Field(
        ["¿Cómo se dice perro en bora?", "agua", "¿Qué significa nuhba en español?", "perro, gato y casa"]
    )
    """Questions suggested by the page; the default ones are answered by the sample lexicon."""
    reports: bool = True
    """Whether missing words are counted, and readers may report faults and opinions."""

    rag_persona_file: Path | None = None
    """File with the mentor's persona for the prompt, at most ``MAX_PERSONA_CHARS`` characters."""

    @field_validator("rag_persona_file")
    @classmethod
    def _check_persona(cls, value: Path | None) -> Path | None:
        if value is not None:
            _read_persona(value)
        return value

    @field_validator("page_suggestions", mode="before")
    @classmethod
    def _split_suggestions(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [text.strip() for text in value.split("|") if text.strip()]

    @field_validator("rag_text_languages")
    @classmethod
    def _check_languages(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - POSTGRES_LANGUAGES)
        if unknown:
            raise ValueError(f"Postgres knows no word forms of {', '.join(unknown)}")
        return value

    @field_validator("llm_service_url")
    @classmethod
    def _check_urls(cls, value: str) -> str:
        urls = _split_urls(value)
        if not urls:
            raise ValueError("holds no URL")
        for url in urls:
            if not is_http_address(url):
                raise ValueError("every URL must look like http://host:port")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _names_a_database(value.get_secret_value()):
            raise ValueError(
                "must look like postgresql://USER:PASSWORD@HOST:PORT/NAME, with characters such as / @ % of the "
                "password percent-encoded (%2F %40 %25)"
            )
        return value

    @model_validator(mode="after")
    def _protect_open_ports(self) -> "Settings":
        if not is_loopback(self.backend_host) and not self.has_keys:
            raise ValueError(
                f"BACKEND_HOST: listening on {self.backend_host} needs BACKEND_API_KEY or BACKEND_KEYS_FILE; "
                "without a key only a loopback address such as 127.0.0.1 is allowed"
            )
        return self

    @property
    def has_keys(self) -> bool:
        """Whether requests need an API key."""
        return self.backend_api_key is not None or self.backend_keys_file is not None

    @property
    def llm_service_urls(self) -> tuple[str, ...]:
        """The LLM service's addresses without trailing slash, in the configured order."""
        return _split_urls(self.llm_service_url)

    @property
    def sample_lexicon_path(self) -> Path | None:
        """The file to load into an empty database, if any."""
        if self.mentor == "none" or self.sample_lexicon.lower() == "none":
            return None
        return Path(self.sample_lexicon)

    @property
    def rag_persona(self) -> str | None:
        """The persona that replaces the built-in one, if any."""
        return None if self.rag_persona_file is None else _read_persona(self.rag_persona_file)

    @property
    def shared_metrics(self) -> Path | None:
        """Directory of metrics shared by several processes. Not settable in ``.env``, since prometheus-client
        reads the environment variable itself.
        """
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        return Path(folder) if folder else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to mask in logs: keys, tokens, and the passwords in addresses."""
        keys = [secret(self.backend_api_key), secret(self.llm_service_api_key), self.hub_token]
        addresses = [*self.llm_service_urls, secret(self.database_url) or ""]
        return tuple(text for text in [*keys, *(word for url in addresses for word in _passwords(url))] if text)

    @property
    def hub_token(self) -> str | None:
        """The model hub's token; ``HUGGINGFACE_API_KEY`` takes precedence over ``HF_TOKEN``."""
        return secret(self.huggingface_api_key) or secret(self.hf_token)


def _passwords(address: str) -> Iterator[str]:
    """Yield the passwords in a URL or a Postgres ``name=value`` string, both as written and decoded."""
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


def env_files() -> tuple[Path, ...]:
    """Return the ``.env`` files to read; later ones take precedence."""
    return choose_env_files(PROJECT_ROOT / ".env", BACKEND_ROOT / ".env")


def load_settings(files: Sequence[Path] | None = None) -> Settings:
    """Read the configuration; exit with one line that names the variable if a value is invalid."""
    return load(Settings, env_files() if files is None else files)


def _names_a_database(address: str) -> bool:
    try:
        ports = conninfo_to_dict(address).get("port") or ""
    except ProgrammingError:
        return False
    # One for each host; a password with a slash would be taken for a port, which libpq's message shows.
    return all(port == "" or port.isdecimal() for port in str(ports).split(","))


def _split_urls(value: str) -> tuple[str, ...]:
    return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())


settings = load_settings()
