"""Errors in OpenAI's format.

OpenAI's clients select the exception class by status and retry according to ``Retry-After`` and ``X-Should-Retry``;
programs read ``code`` and ``param``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from service_kit.errors import Problem

from schemas.common import WireModel

PREFIX = "/v1"
ENDPOINTS = ("chat/completions", "completions", "embeddings", "models", "rerank", "responses")
"""Endpoints below the prefix."""
_CODES = {"unauthorized": "invalid_api_key", "invalid_request": "invalid_value"}
"""OpenAI's names for error types of the contract, where they differ."""
_PARAMS = {"context_length_exceeded": "messages"}
_VALIDATION_CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "unsupported_parameter": "unsupported_parameter",
    "token_ids": "unsupported_value",
}


class OpenAIErrorDetail(WireModel):
    """The error. ``code`` is machine-readable, ``param`` names the invalid field."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class OpenAIErrorBody(WireModel):
    """Every error of ``/v1/*`` has this body."""

    error: OpenAIErrorDetail


def speaks_openai(path: str) -> bool:
    """Return whether the errors of a path have OpenAI's format."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def openai_body(problem: Problem) -> dict[str, Any]:
    """Return the body of an error."""
    error = {
        "message": problem.message,
        "type": "invalid_request_error" if problem.status < 500 else "server_error",
        "param": problem.param or _PARAMS.get(problem.type),
        "code": _CODES.get(problem.type, problem.type),
    }
    return {"error": error}


def openai_headers(problem: Problem) -> dict[str, str]:
    """Return the headers that control retries; by default clients retry every 5xx."""
    return {"X-Should-Retry": str(problem.retryable).lower()} if problem.status >= 500 else {}


def validation_problem(error: Mapping[str, Any], path: Sequence[int | str]) -> Problem:
    """Describe a validation error reported by pydantic; its field is named as OpenAI does: ``messages[0].content``."""
    kind = str(error["type"])
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".") or None
    code = _VALIDATION_CODES.get(kind) or ("invalid_type" if kind.endswith("_type") else "invalid_value")
    reason = str(error["msg"]).removeprefix("Value error, ")
    message = f"{param}: {reason}" if param else reason
    return Problem(400, code, message, param=param)


def path_not_found(path: str) -> Problem:
    """Describe the absence of a path: OpenAI has many more."""
    shown = "".join(character if character.isprintable() else "?" for character in path[:100])
    here = ", ".join(f"{PREFIX}/{name}" for name in ENDPOINTS)
    return Problem(404, "not_found", f"not found: {shown}; available: {here}")
