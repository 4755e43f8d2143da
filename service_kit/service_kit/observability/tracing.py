"""Traces with OpenTelemetry's API: no-op until ``TRACING=otlp`` loads the SDK (docs/decisions/0019-traces.md).

Every span belongs to a request. ``Tracing.request`` opens the request's span and makes it current; ``start_span``
opens children of the current span. A stream ends in another task than it began in, where OpenTelemetry cannot
detach a context, so generators keep their span as an object and never make it current.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from service_kit.observability.otlp import Exporter

Attributes = Mapping[str, str | bool | int | float | Sequence[str] | None]
"""Names of OpenTelemetry's conventions, or ``app.…``; ``None`` is left out. No text of a request or an answer."""

_TRACER = contexts.create_key("service-kit-tracer")
_propagator = TraceContextTextMapPropagator()


def start_span(name: str, kind: SpanKind = SpanKind.INTERNAL) -> Span:
    """Open a child of the current span; without a traced request, a span that records nothing."""
    tracer = contexts.get_value(_TRACER)
    return _start(tracer, name, kind, None) if isinstance(tracer, trace.Tracer) else INVALID_SPAN


def current(span: Span) -> contextlib.AbstractContextManager[Span]:
    """Make ``span`` the parent of spans started inside the block. For coroutines, never across a ``yield``."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def annotate(span: Span, attributes: Attributes) -> None:
    """Set attributes on a span that has not ended."""
    if span.is_recording():
        span.set_attributes({name: value for name, value in attributes.items() if value is not None})


def add_event(name: str, attributes: Mapping[str, str]) -> None:
    """Add an event to the current span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.add_event(name, attributes)


def fail(span: Span, error_type: str) -> None:
    """Mark a span as failed, by the error's name: its message may quote a question."""
    if span.is_recording():
        span.set_attribute("error.type", error_type)
        span.set_status(StatusCode.ERROR)


def end(span: Span) -> None:
    """End a span; a second time has no effect."""
    if span.is_recording():
        span.end()


def class_name(error: BaseException) -> str:
    """Return the class of an error."""
    return type(error).__qualname__


@contextlib.contextmanager
def ending(span: Span, name_of: Callable[[BaseException], str] = class_name) -> Iterator[Span]:
    """End ``span`` with the block. Cancellation is no failure: it sets ``app.cancelled``."""
    try:
        yield span
    except (asyncio.CancelledError, GeneratorExit):
        annotate(span, {"app.cancelled": True})
        raise
    except BaseException as error:
        fail(span, name_of(error))
        raise
    finally:
        end(span)


def propagation_headers(span: Span) -> dict[str, str]:
    """Return the W3C headers that continue the trace in another service."""
    headers: dict[str, str] = {}
    _propagator.inject(headers, trace.set_span_in_context(span, Context()))
    return headers


def log_fields(span: Span) -> dict[str, str]:
    """Return ``trace_id`` and ``span_id`` for log lines; nothing without a trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


class Tracing:
    """The traces of one app; without an exporter every span is a no-op."""

    def __init__(self, exporter: "Exporter | None" = None) -> None:
        self._exporter = exporter
        self._tracer: trace.Tracer | None = None

    def start(self) -> None:
        """Begin to send spans."""
        if self._exporter is not None:
            self._tracer = self._exporter.start()

    async def close(self) -> None:
        """Send the remaining spans, for a few seconds at most."""
        if self._exporter is not None:
            await self._exporter.close()

    @contextlib.contextmanager
    def request(self, name: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Make a request's server span current, in the trace that the headers name, if any. The caller ends it."""
        if self._tracer is None:
            yield INVALID_SPAN
            return
        parent = {key: value for key in ("traceparent", "tracestate") if (value := headers.get(key))}
        span = _start(self._tracer, name, SpanKind.SERVER, _propagator.extract(parent, Context()))
        token = contexts.attach(contexts.set_value(_TRACER, self._tracer, trace.set_span_in_context(span)))
        try:
            yield span
        finally:
            contexts.detach(token)


def open_tracing(
    tracing: Literal["off", "otlp"], environment: Mapping[str, str], service: str, version: str
) -> Tracing:
    """Return the app's traces; ends the start with one line when the packages of ``otlp`` are missing.

    Args:
        tracing: the setting ``TRACING``.
        environment: OpenTelemetry's variables from ``.env`` files; the process's environment beats them.
        service: name of the service unless ``OTEL_SERVICE_NAME`` gives another.
        version: version of the service.

    """
    if tracing == "off":
        return Tracing()
    try:
        from service_kit.observability.otlp import Exporter
    except ImportError as error:
        missing = error.name or "opentelemetry"
        raise SystemExit(
            f"configuration error: TRACING: {tracing} needs packages that are not installed ({missing}): "
            "pip install -r requirements-tracing.txt -c constraints.txt"
        ) from None
    return Tracing(Exporter(environment, service, version))


def _start(tracer: trace.Tracer, name: str, kind: SpanKind, context: Context | None) -> Span:
    # An exception's message may quote a question.
    return tracer.start_span(name, context, kind, record_exception=False, set_status_on_exception=False)
