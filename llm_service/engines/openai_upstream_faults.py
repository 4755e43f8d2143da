"""What can go wrong with an upstream, in this service's own words.

Messages are for callers: they hold neither the key nor the address, and of the upstream's own words only
those about a request that it refused.
"""

import email.utils
import json
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from engines.base import Failed, Failure

MOST_PATIENCE_S, LEAST_PATIENCE_S, USUAL_PATIENCE_S = 60.0, 1.0, 2.0
LONGEST_QUOTE = 300
_BUSY_CODES = frozenset({"overloaded", "draining", "model_loading", "rate_limit_exceeded", "rate_limit_error"})
_LOST_CODES = frozenset({"engine_restarted", "deadline_exceeded"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# vLLM and SGLang give such a refusal no code of its own: only their words tell.
_CONTEXT_WORDS = re.compile(r"(maximum|model's|available) context (length|size)", re.IGNORECASE)
_AT_LEAST = re.compile(r"at least \d+ input tokens", re.IGNORECASE)
# What vLLM answers with 500 once the process that computes is gone; it ends itself some seconds later.
_ENGINE_GONE = re.compile(r"EngineCore encountered an issue|EngineDeadError")
_CONTEXT_LENGTH = re.compile(r"context length(?: is| of)?(?: only)? \(?(\d+)|this model reads (\d+)", re.IGNORECASE)
_PROMPT_TOKENS = re.compile(
    r"(\d+) (?:input tokens|in the messages)|(?:at least|resulted in|conversation has|input \() ?(\d+)", re.IGNORECASE
)


class UpstreamFault(Exception):
    """A request that the upstream did not answer. ``status`` is what it answered instead, if anything."""

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        **details: int,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.retry_after_s = retry_after_s
        self.details = details

    @property
    def refuses_the_key(self) -> bool:
        """Whether another key is wanted."""
        return self.status in (401, 403)

    def event(self, request_id: str) -> Failed:
        """Return the end of the request that met this."""
        return Failed(request_id, self.failure, str(self), self.details, self.retry_after_s)


def malformed(what: str) -> UpstreamFault:
    """Return the fault of an upstream that answers nonsense."""
    return UpstreamFault(Failure.GENERATION_FAILED, f"the upstream's answer is not what was asked for: {what}")


def cut_off() -> UpstreamFault:
    """Return the fault of an answer that has no end."""
    return UpstreamFault(
        Failure.ENGINE_RESTARTED, "the upstream ended the connection before its answer was complete; try again"
    )


def no_api(kind: str) -> UpstreamFault:
    """Return the fault of a server that speaks another language."""
    return UpstreamFault(
        Failure.UNAVAILABLE,
        f"what answers at LLM_UPSTREAM_URL is no OpenAI-compatible server (it sent {kind or 'no content type'})",
    )


def from_transport(error: httpx2.HTTPError) -> UpstreamFault:
    """Say what a failed exchange means."""
    if isinstance(error, httpx2.ConnectError) and _certificate_error(error):
        return UpstreamFault(Failure.UNAVAILABLE, "the upstream's certificate cannot be verified")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return UpstreamFault(Failure.ENGINE_RESTARTED, "the upstream cannot be reached; try again")
    if isinstance(error, httpx2.PoolTimeout):
        return UpstreamFault(
            Failure.OVERLOADED, "all connections to the upstream are in use", retry_after_s=USUAL_PATIENCE_S
        )
    if isinstance(error, httpx2.TimeoutException):
        return UpstreamFault(Failure.ENGINE_RESTARTED, "the upstream has gone silent; try again")
    return cut_off()


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """Say what an answer that is not 200 means."""
    return _fault(status, _error_object(body), retry_after(headers.get("retry-after")))


def from_event(error: object) -> UpstreamFault:
    """Say what an error inside a stream means."""
    fields: Mapping[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        return _fault(code, fields, None)
    if _named(fields, _BUSY_CODES):
        return _fault(503, fields, None)
    if _named(fields, _LOST_CODES):
        return _fault(502, fields, None)
    return _fault(400 if _named(fields, _CONTEXT_CODES) else 500, fields, None)


def retry_after(value: str | None) -> float | None:
    """Read the header: seconds, or a date; ``None`` when it says nothing readable. Between 1 and 60 s."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else _seconds_until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(MOST_PATIENCE_S, max(LEAST_PATIENCE_S, seconds))


def _seconds_until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()


def _fault(status: int, error: Mapping[str, Any], patience_s: float | None) -> UpstreamFault:
    if status in (401, 403):
        # Its own message may quote the key.
        return UpstreamFault(
            Failure.UNAVAILABLE, "the upstream refuses this service's key: check LLM_UPSTREAM_API_KEY", status=status
        )
    if status in (408, 429, 503, 529):
        return UpstreamFault(
            Failure.OVERLOADED,
            "the upstream is at its limit; try again later",
            status=status,
            retry_after_s=patience_s or USUAL_PATIENCE_S,
        )
    if status in (502, 504) or (status == 500 and _ENGINE_GONE.search(_words(error))):
        return UpstreamFault(Failure.ENGINE_RESTARTED, "the upstream could not finish; try again", status=status)
    if status >= 500:
        return UpstreamFault(Failure.GENERATION_FAILED, "the upstream failed while it answered", status=status)
    if status in (400, 413, 422):
        return _refusal(status, error)
    return UpstreamFault(
        Failure.UNAVAILABLE,
        f"the upstream answers {status}: check LLM_UPSTREAM_URL and LLM_UPSTREAM_MODEL",
        status=status,
    )


def _refusal(status: int, error: Mapping[str, Any]) -> UpstreamFault:
    words = _words(error) or "it gave no reason"
    if not (_named(error, _CONTEXT_CODES) or _CONTEXT_WORDS.search(words)):
        quote = words[:LONGEST_QUOTE]
        return UpstreamFault(Failure.UNSUPPORTED, f"the upstream refuses this request: {quote}", status=status)
    patterns = (("prompt_tokens", _PROMPT_TOKENS), ("context_length", _CONTEXT_LENGTH))
    counts = {name: number for name, pattern in patterns if (number := _number(pattern, words)) is not None}
    return UpstreamFault(
        Failure.CONTEXT_LENGTH_EXCEEDED,
        "the conversation and the longest answer asked for are more than the upstream's model can read"
        + ("; it stopped counting at this number of tokens" if _AT_LEAST.search(words) else ""),
        status=status,
        **counts,
    )


def _words(error: Mapping[str, Any]) -> str:
    return " ".join(str(error.get("message") or "").split())


def _number(pattern: re.Pattern[str], words: str) -> int | None:
    match = pattern.search(words)
    return int(next(group for group in match.groups() if group)) if match else None


def _named(error: Mapping[str, Any], names: frozenset[str]) -> bool:
    return any(isinstance(error.get(field), str) and error[field] in names for field in ("code", "type"))


def _error_object(body: bytes) -> Mapping[str, Any]:
    """Find the error in a body: OpenAI's shape, or its fields at the top as older vLLM sends them."""
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
