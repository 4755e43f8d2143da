"""Wire format of the LLM service: building requests, parsing answers, mapping errors. No I/O.

An answer of unexpected shape raises ``Malformed``: the address may belong to another service, or a proxy may
have replaced the body.
"""

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from adapters.base import ChatMessage, Completion, Embeddings, LogicalError, RateLimited, SamplingOptions, ServedBy
from adapters.llm_service.faults import Again, Broken, Busy, Malformed, TimedOut

logger = logging.getLogger(__name__)
DONE = "[DONE]"
_KIND = re.compile(r"[a-z0-9_]{1,64}")
_MAX_WORDS = 200
_REASONS = {"overloaded": "overloaded", "model_loading": "loading", "draining": "draining"}
_MAX_RETRY_AFTER_S = 3600.0
_MAX_EVENT_BYTES = 4 * 1024 * 1024


def generate_payload(messages: Sequence[ChatMessage], options: SamplingOptions, *, stream: bool) -> dict[str, Any]:
    """Return the body of ``POST /api/llm/generate``; unset options are omitted."""
    payload: dict[str, Any] = {"messages": [dict(message) for message in messages]}
    optional = {
        "max_new_tokens": options.max_new_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "stream": True if stream else None,
    }
    payload.update({key: value for key, value in optional.items() if value is not None})
    return payload


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Malformed("the LLM service answered something that is no JSON") from error
    if not isinstance(value, dict):
        raise Malformed("the LLM service answered JSON that is no object")
    return value


def parse_completion(body: Mapping[str, Any], served_by: ServedBy = "llm_service") -> Completion:
    """Return the completion in a response object of ``/api/llm/generate``."""
    answer, model = body.get("answer"), body.get("model")
    if not isinstance(answer, str) or not isinstance(model, str):
        raise Malformed("the LLM service's answer lacks 'answer' or 'model'")
    tokens, timings, cached = body.get("tokens_generated", 0), body.get("timings"), body.get("cached")
    return Completion(
        answer=printable(answer),
        model=model,
        served_by=served_by,
        finish_reason=str(body.get("finish_reason") or "stop"),
        tokens_generated=tokens if isinstance(tokens, int) else 0,
        degraded=body.get("degraded") is True,
        cached=cached if isinstance(cached, bool) else None,
        timings=_numbers(timings) if isinstance(timings, dict) else {},
    )


def parse_embeddings(
    body: Mapping[str, Any], *, count: int, dimension: int, served_by: ServedBy = "llm_service"
) -> Embeddings:
    """Return the vectors of ``/api/llm/embed``, each checked to be finite and ``dimension`` long."""
    vectors, fingerprint = body.get("embeddings"), body.get("fingerprint")
    if not isinstance(vectors, list) or len(vectors) != count:
        raise Malformed(f"the LLM service did not answer {count} vectors")
    if not isinstance(fingerprint, str) or not fingerprint:
        raise Malformed("the LLM service's vectors have no fingerprint")
    for vector in vectors:
        if not isinstance(vector, list) or len(vector) != dimension or not all(_is_finite(x) for x in vector):
            raise Malformed(f"the LLM service's vectors are not {dimension} numbers long")
    return Embeddings(
        vectors=[[float(x) for x in vector] for vector in vectors],
        model=str(body.get("model") or ""),
        fingerprint=fingerprint,
        served_by=served_by,
    )


class EventParser:
    """Incremental parser of a ``text/event-stream``; accepts chunks cut at any byte.

    Splits on line feeds only: other line separators may occur inside the JSON.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that ``chunk`` completes."""
        events: list[str] = []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise Malformed("an event of the LLM service has no end")
        for line in (raw.rstrip(b"\r") for raw in lines):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data = []
        return events


def parse_ranks(body: Mapping[str, Any], *, count: int) -> list[float]:
    """Return the score of each of ``count`` texts; raise ``Malformed`` unless there is one for each."""
    results = body.get("results")
    found = {}
    for result in results if isinstance(results, list) else []:
        if isinstance(result, dict) and _is_finite(result.get("relevance_score")):
            found[result.get("index")] = float(result["relevance_score"])
    if set(found) != set(range(count)):
        raise Malformed("the LLM service did not rank every text")
    return [found[at] for at in range(count)]


def parse_event(data: str) -> dict[str, Any]:
    """Return one event of the stream; raise ``TechnicalError`` for an error event."""
    event = parse_object(data.encode())
    if "error" in event:
        fault = event["error"] if isinstance(event["error"], dict) else {}
        kind = _kind(fault) or "error"
        summary = f"the LLM service broke off: {kind}"
        logger.debug(summary, extra={"detail": _words(fault)})
        if kind in _REASONS:
            raise Busy(summary, reason=_REASONS[kind])
        raise TimedOut(summary) if kind == "deadline_exceeded" else Broken(summary)
    return event


def raise_for_status(response: httpx2.Response, body: bytes) -> None:
    """Raise the error that a status other than 200 stands for; ``body`` is the response body."""
    status = response.status_code
    if status == httpx2.codes.OK:
        return
    error = _error(body)
    error_type, retry_after_s = _kind(error), retry_after(response)
    summary = f"the LLM service answered {status} {error_type}".rstrip()
    # The service's message may quote the question: it goes to the caller of a refused request, not to the log.
    logger.debug(summary, extra={"detail": _words(error)})
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        raise RateLimited(summary, retry_after_s=retry_after_s)
    if status == httpx2.codes.NOT_IMPLEMENTED:
        # The service works; it has no model for this.
        raise LogicalError(summary, status=status, error_type=error_type or "not_configured")
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        # 503 with "retryable" guarantees that the request had no effect.
        may_repeat = status == httpx2.codes.SERVICE_UNAVAILABLE and error.get("retryable") is True
        again: Again = "anywhere" if may_repeat else "elsewhere"
        if error_type in _REASONS:
            raise Busy(summary, reason=_REASONS[error_type], again=again, retry_after_s=retry_after_s)
        if status == httpx2.codes.GATEWAY_TIMEOUT:
            raise TimedOut(summary)
        raise Broken(summary, again=again, retry_after_s=retry_after_s)
    if status < httpx2.codes.BAD_REQUEST or (status == httpx2.codes.NOT_FOUND and not error_type):
        # A redirect, or the 404 page of another server.
        raise Malformed(summary)
    refusal = f"{summary}: {_words(error)}".rstrip(": ")
    raise LogicalError(refusal, status=status, error_type=error_type or "invalid_request")


def printable(text: str) -> str:
    """Return ``text`` without lone surrogates, which are valid in JSON but not in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _kind(error: Mapping[str, Any]) -> str:
    """Return the error's type if it is well-formed, else an empty string."""
    kind = error.get("type")
    return kind if isinstance(kind, str) and _KIND.fullmatch(kind) else ""


def _words(error: Mapping[str, Any]) -> str:
    return str(error.get("message") or "")[:_MAX_WORDS]


def _error(body: bytes) -> dict[str, Any]:
    """Return the error object of a response body, or an empty mapping."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return {}
    return error if isinstance(error, dict) else {}


def retry_after(response: httpx2.Response) -> float | None:
    """Return ``Retry-After`` in seconds, or ``None`` when it is absent or a date."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if math.isfinite(seconds) and seconds >= 0 else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in values.items() if _is_finite(value)}
