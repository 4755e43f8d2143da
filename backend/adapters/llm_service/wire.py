"""Wire format of the LLM service: building requests, parsing answers, mapping errors. No I/O.

An answer of unexpected shape raises ``Malformed``: the address may belong to another service, or a proxy may
have replaced the body.
"""

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.llm_service.faults import REASONS, Malformed, ServiceFault, TimedOut
from adapters.ports.models import (
    ChatMessage,
    Completion,
    Embeddings,
    LogicalError,
    RateLimited,
    SamplingOptions,
    ServedBy,
    TechnicalError,
)

logger = logging.getLogger(__name__)
DONE = "[DONE]"
MAX_EVENT_BYTES = 4 * 1024 * 1024
_KIND = re.compile(r"[a-z0-9_]{1,64}")
_MAX_WORDS = 200
_MAX_RETRY_AFTER_S = 3600.0


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class _Answer(_Body):
    answer: str
    model: str
    finish_reason: str = "stop"
    tokens_generated: int = 0
    degraded: bool = False
    cached: bool | None = None
    timings: dict[str, float] = {}


class _Vectors(_Body):
    embeddings: list[list[float]]
    fingerprint: str = Field(min_length=1)


class _Rank(_Body):
    index: int
    relevance_score: float


class _Ranks(_Body):
    results: list[_Rank]


B = TypeVar("B", bound=_Body)


def generate_payload(messages: Sequence[ChatMessage], options: SamplingOptions, *, stream: bool) -> dict[str, Any]:
    """Return the body of ``POST /api/llm/generate``; unset options are omitted."""
    optional = {**asdict(options), "stream": stream or None}
    return {"messages": list(messages), **{name: value for name, value in optional.items() if value is not None}}


def parse_object(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object in ``body``."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Malformed("the LLM service sent invalid JSON") from error
    if not isinstance(value, dict):
        raise Malformed("the LLM service sent JSON that is not an object")
    return value


def parse_completion(body: Mapping[str, Any], served_by: ServedBy) -> Completion:
    """Return the completion in a response object of ``/api/llm/generate``."""
    found = _validated(_Answer, body)
    return Completion(**found.model_dump() | {"answer": printable(found.answer), "served_by": served_by})


def parse_embeddings(body: Mapping[str, Any], *, count: int, dimension: int) -> Embeddings:
    """Return the vectors of ``/api/llm/embed``, each checked to be finite and ``dimension`` long."""
    found = _validated(_Vectors, body)
    if len(found.embeddings) != count:
        raise Malformed(f"the LLM service did not answer {count} vectors")
    if any(len(vector) != dimension for vector in found.embeddings):
        raise Malformed(f"the LLM service's vectors are not {dimension} numbers long")
    return Embeddings(found.embeddings, found.fingerprint)


def parse_ranks(body: Mapping[str, Any], *, count: int) -> list[float]:
    """Return the score of each of ``count`` texts; raise ``Malformed`` unless there is one for each."""
    found = {each.index: each.relevance_score for each in _validated(_Ranks, body).results}
    if set(found) != set(range(count)):
        raise Malformed("the LLM service did not rank every text")
    return [found[at] for at in range(count)]


def parse_event(data: str) -> dict[str, Any]:
    """Return one event of the stream; raise ``TechnicalError`` for an error event."""
    event = parse_object(data)
    if "error" in event:
        kind = error_type(event) or "error"
        summary = f"the LLM service broke off: {kind}"
        logger.debug(summary, extra={"detail": _words(_error(event))})
        if kind == "deadline_exceeded":
            raise TimedOut(summary)
        raise ServiceFault(summary, reason=REASONS.get(kind, "http_5xx"))
    return event


def error_of(response: httpx2.Response, body: bytes) -> TechnicalError | LogicalError:
    """Return the error that a status other than 200 stands for; ``body`` is the response body."""
    status = response.status_code
    try:
        sent = parse_object(body)
    except Malformed:
        sent = {}
    error, kind, retry_after_s = _error(sent), error_type(sent), retry_after(response)
    summary = f"the LLM service answered {status} {kind}".rstrip()
    # The service's message may quote the question: it goes to the caller of a refused request, not to the log.
    logger.debug(summary, extra={"detail": _words(error)})
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        return RateLimited(summary, retry_after_s=retry_after_s)
    if status == httpx2.codes.NOT_IMPLEMENTED:
        # The service works; it has no model for this.
        return LogicalError(summary, status=status, error_type=kind or "not_configured")
    if status == httpx2.codes.GATEWAY_TIMEOUT:
        return TimedOut(summary)
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        # 503 with "retryable" guarantees that the request had no effect.
        anywhere = status == httpx2.codes.SERVICE_UNAVAILABLE and error.get("retryable") is True
        reason = REASONS.get(kind, "http_5xx")
        return ServiceFault(summary, reason=reason, anywhere=anywhere, retry_after_s=retry_after_s)
    if status < httpx2.codes.BAD_REQUEST or (status == httpx2.codes.NOT_FOUND and not kind):
        # A redirect, or the 404 page of another server.
        return Malformed(summary)
    refusal = f"{summary}: {_words(error)}".rstrip(": ")
    return LogicalError(refusal, status=status, error_type=kind or "invalid_request")


def error_type(body: Mapping[str, Any]) -> str:
    """Return the type of the error in ``body``, which ``/v1`` sends as ``code``; empty without a valid one."""
    error = _error(body)
    kind = error.get("code") or error.get("type")
    return kind if isinstance(kind, str) and _KIND.fullmatch(kind) else ""


def printable(text: str) -> str:
    """Return ``text`` without lone surrogates, which are valid in JSON but not in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def retry_after(response: httpx2.Response) -> float | None:
    """Return ``Retry-After`` in seconds, or ``None`` when it is absent or a date."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if math.isfinite(seconds) and seconds >= 0 else None


def _validated(model: type[B], body: Mapping[str, Any]) -> B:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise Malformed(f"the LLM service's answer has no valid '{where}'") from error


def _error(body: Mapping[str, Any]) -> dict[str, Any]:
    error = body.get("error")
    return error if isinstance(error, dict) else {}


def _words(error: Mapping[str, Any]) -> str:
    return str(error.get("message") or "")[:_MAX_WORDS]
