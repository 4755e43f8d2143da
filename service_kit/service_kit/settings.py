"""Settings from environment variables and ``.env`` files: what both apps have in common."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from service_kit.keys import check_keys_file


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _check_not_blank(key: SecretStr) -> SecretStr:
    if not key.get_secret_value().strip():
        raise ValueError("must not be blank")
    return key


StringList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""Texts separated by commas, or a JSON list."""
KeyText = Annotated[SecretStr, AfterValidator(_check_not_blank)]
KeysFile = Annotated[Path, AfterValidator(check_keys_file)]
"""File of named keys, one ``name:scope:key`` per line; re-read on change."""


class CommonSettings(BaseSettings):
    """Base of the apps' settings. Environment variables are the field names in upper case."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,  # ``LLM_MODEL=`` in a file is a placeholder, not an empty name
        extra="ignore",
        validate_default=True,
        allow_inf_nan=False,
    )

    trusted_hosts: StringList = []
    """Host names accepted besides loopback and the host listened on; if empty and a key is set, any name."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "text", "json"] = "auto"
    """``auto`` is text on a terminal and JSON elsewhere."""
    tracing: Literal["off", "otlp"] = "off"
    """``otlp`` exports spans as configured by OpenTelemetry's own variables (``otel_environment``)."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


S = TypeVar("S", bound=CommonSettings)


def choose_env_files(*default: Path) -> tuple[Path, ...]:
    """Return the ``.env`` files to read, later ones taking precedence.

    ``ENV_FILES`` replaces the default: paths joined by the platform's path separator, or ``none``. Containers and
    tests use it.
    """
    override = os.environ.get("ENV_FILES")
    if not override:
        return default
    if override.strip().lower() == "none":
        return ()
    return tuple(Path(part) for part in override.split(os.pathsep) if part)


def load(settings: type[S], files: Sequence[Path]) -> S:
    """Read the configuration; exit with one line that names the variables if values are invalid."""
    try:
        return settings(_env_file=files)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SystemExit("configuration error: " + "; ".join(map(_describe, error.errors()))) from None
    except SettingsError as error:
        raise SystemExit(f"configuration error: {error}") from None
    except UnicodeDecodeError:
        raise SystemExit(f"configuration error: save as UTF-8: {', '.join(map(str, files))}") from None


def _describe(item: Any) -> str:
    """Return one line for one error, without the value, which may be a secret."""
    message = str(item["msg"]).removeprefix("Value error, ").replace("\n", " ")
    name = "_".join(str(part) for part in item["loc"][:1]).upper()
    return f"{name}: {message}" if name else message


def otel_environment(files: Iterable[Path]) -> dict[str, str]:
    """Return the ``OTEL_…`` variables of ``.env`` files: OpenTelemetry's SDK reads only the process's environment."""
    found: dict[str, str] = {}
    for path in files:
        values = dotenv_values(path, encoding="utf-8-sig")
        found |= {name: value for name, value in values.items() if name.startswith("OTEL_") and value}
    return found
