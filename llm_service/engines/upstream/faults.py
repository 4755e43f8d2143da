"""Failures of a server, as errors for clients.

Messages contain neither key nor address, and the server's own words only where it refused a request.
"""

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2

from engines.errors import (
    ContextLengthExceeded,
    EngineRestarted,
    GenerationFailed,
    ModelUnavailable,
    Overloaded,
    ServiceError,
    Unsupported,
)

MAX_RETRY_AFTER_S, MIN_RETRY_AFTER_S, DEFAULT_RETRY_AFTER_S = 60.0, 1.0, 2.0
LONGEST_QUOTE = 300
_BUSY_CODES = frozenset({"overloaded", "draining", "model_loading", "rate_limit_exceeded", "rate_limit_error"})
_LOST_CODES = frozenset({"engine_restarted", "deadline_exceeded"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# vLLM and SGLang give these two refusals no code, so they are recognised by their words.
_CONTEXT_WORDS = re.compile(r"(maximum|model's|available) context (length|size)", re.IGNORECASE)
_ENGINE_GONE = re.compile(r"EngineCore encountered an issue|EngineDeadError")
_COUNTS = {
    "prompt_tokens": (
        "n_prompt_tokens",
        r"(\d+) (?:input tokens|in the messages)|(?:at least|resulted in|conversation has|input \() ?(\d+)",
    ),
    "context_length": ("n_ctx", r"context length(?: is| of)?(?: only)? \(?(\d+)|this model reads (\d+)"),
}
"""Where to find a number: a field of llama.cpp's error, or words of other servers."""


class KeyRefused(ModelUnavailable):
    """The server wants another key. Its own message, which may quote the key, is not passed on."""


def malformed(what: str) -> ServiceError:
    """Return the error of an answer that cannot be read."""
    return GenerationFailed(f"the upstream's answer is invalid: {what}")


def cut_off() -> ServiceError:
    """Return the error of an answer without an end."""
    return EngineRestarted("the upstream ended the connection before its answer was complete; try again")


def no_api(kind: str) -> ServiceError:
    """Return the error of a server with another protocol."""
    return ModelUnavailable(
        f"the server at LLM_UPSTREAM_URL is not OpenAI-compatible (it sent {kind or 'no content type'})"
    )


def from_transport(error: httpx2.HTTPError) -> ServiceError:
    """Translate a failed exchange."""
    if isinstance(error, httpx2.ConnectError) and _certificate_error(error):
        return ModelUnavailable("the upstream's certificate cannot be verified")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return EngineRestarted("the upstream cannot be reached; try again")
    if isinstance(error, httpx2.PoolTimeout):
        return Overloaded("all connections to the upstream are in use", retry_after_s=DEFAULT_RETRY_AFTER_S)
    if isinstance(error, httpx2.TimeoutException):
        return EngineRestarted("the upstream has gone silent; try again")
    return cut_off()


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """Translate an answer other than 200."""
    return _error(status, _error_object(body), retry_after(headers.get("retry-after")))


def from_event(error: object) -> ServiceError:
    """Translate an error inside a stream."""
    fields: Mapping[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        return _error(code, fields, None)
    for names, status in ((_BUSY_CODES, 503), (_LOST_CODES, 502), (_CONTEXT_CODES, 400)):
        if _named(fields, names):
            return _error(status, fields, None)
    return _error(500, fields, None)


def retry_after(value: str | None) -> float | None:
    """Read the header's seconds, within 1 to 60; ``None`` when they are unreadable."""
    if value is None or not value.strip().isdecimal():
        return None
    return min(MAX_RETRY_AFTER_S, max(MIN_RETRY_AFTER_S, float(value)))


def _error(status: int, error: Mapping[str, Any], retry_after_s: float | None) -> ServiceError:
    if status in (401, 403):
        return KeyRefused("the upstream refuses this service's key: check LLM_UPSTREAM_API_KEY")
    if status in (408, 429, 503, 529):
        return Overloaded(
            "the upstream is at its limit; try again later", retry_after_s=retry_after_s or DEFAULT_RETRY_AFTER_S
        )
    if status in (502, 504) or (status == 500 and _ENGINE_GONE.search(_words(error))):
        return EngineRestarted("the upstream could not finish; try again")
    if status >= 500:
        return GenerationFailed("the upstream failed while it answered")
    if status in (400, 413, 422):
        return _refusal(error)
    return ModelUnavailable(f"the upstream answers {status}: check LLM_UPSTREAM_URL and LLM_UPSTREAM_MODEL")


def _refusal(error: Mapping[str, Any]) -> ServiceError:
    words = _words(error) or "it gave no reason"
    if not (_named(error, _CONTEXT_CODES) or _CONTEXT_WORDS.search(words)):
        return Unsupported(f"the upstream refuses this request: {words[:LONGEST_QUOTE]}")
    counts: dict[str, Any] = {}
    for name, (field, pattern) in _COUNTS.items():
        if isinstance(error.get(field), int):
            counts[name] = error[field]
        elif match := re.search(pattern, words, re.IGNORECASE):
            counts[name] = int(match[1] or match[2])
    lower_bound = "; it stopped counting at this number of tokens" if "at least" in words else ""
    return ContextLengthExceeded(
        f"the conversation and the longest answer asked for are more than the upstream's model can read{lower_bound}",
        **counts,
    )


def _words(error: Mapping[str, Any]) -> str:
    return " ".join(str(error.get("message") or "").split())


def _named(error: Mapping[str, Any], names: frozenset[str]) -> bool:
    return any(isinstance(error.get(field), str) and error[field] in names for field in ("code", "type"))


def _error_object(body: bytes) -> Mapping[str, Any]:
    """Find the error in a body: OpenAI's shape, or its fields at the top, as older vLLM sends them."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": str(error)}


def _certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
