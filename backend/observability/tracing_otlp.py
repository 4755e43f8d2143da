"""Spans by OpenTelemetry's SDK, sent over OTLP/HTTP. Imported only when tracing is on.

Where they go, how many and how long to wait is the SDK's own configuration, ``OTEL_…``. What is finished goes
into a queue of bounded length, which a thread empties: a collector that is slow, hangs or is away costs
spans, never a request's time.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from observability.tracing import NO_SPAN, Attributes, Kind, Span

CLOSE_S = 3.0
"""What is left at the end is given up after so long."""
LONGEST_REASON = 200
UNNAMED = "unknown_service"
"""How the SDK calls a service whose environment gives it no name."""
_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_propagator = TraceContextTextMapPropagator()
logger = logging.getLogger(__name__)


class OtlpTracer:
    """A ``Tracer``. It keeps to itself: no global provider, so that no library adds spans of its own."""

    def __init__(self, environment: Mapping[str, str], service: str, version: str) -> None:
        # The SDK reads nothing but the process's environment, which wins over files.
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        self._resource = _resource(service, version)
        self._exporter = _Told(trace_exporter.OTLPSpanExporter())
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None

    def start(self) -> None:
        """Begin to send spans."""
        # Not at the interpreter's exit, where nothing bounds the time: ``close`` does it.
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(self._resource.attributes[SERVICE_NAME].__str__())

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        if self._provider is None:
            return
        # A daemon: the process ends also while the collector keeps it waiting.
        sending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, CLOSE_S)
        if sending.is_alive():
            logger.warning("the last spans were given up: the collector does not take them")

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        """Begin the span of a request, in the caller's trace when its headers name one."""
        if self._tracer is None:
            return NO_SPAN
        told = {key: value for key in ("traceparent", "tracestate") if (value := headers.get(key))}
        return _span(self._tracer, name, "server", _propagator.extract(told, Context()))


class OtelSpan:
    """A ``Span``. Its parent is always named, never looked up: streams go on in other tasks than they began."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self._span = tracer, span

    @property
    def recording(self) -> bool:
        """Whether it was sampled and has not ended."""
        return self._span.is_recording()

    @property
    def log_fields(self) -> Mapping[str, str]:
        """What the log lines of a request carry."""
        context = self._span.get_span_context()
        return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}

    def child(self, name: str, kind: Kind = "internal") -> Span:
        """Begin a piece of this one."""
        return _span(self._tracer, name, kind, self._context())

    def set(self, attributes: Attributes) -> None:
        """Note what is known."""
        if self.recording:
            self._span.set_attributes(_known(attributes))

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something has happened now."""
        if self.recording:
            self._span.add_event(name, _known(attributes))

    def fail(self, error_type: str) -> None:
        """Note that it failed."""
        if self.recording:
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End it."""
        if self.recording:
            self._span.end()

    def headers(self) -> dict[str, str]:
        """Return what tells a neighbour to go on with this trace."""
        told: dict[str, str] = {}
        _propagator.inject(told, self._context())
        return told

    def _context(self) -> Context:
        return trace.set_span_in_context(self._span, Context())


class _Told(SpanExporter):
    """Says once that spans do not arrive and why, and once that they do again, whatever the exporter says."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._reason = ""
        logging.getLogger(trace_exporter.__name__).addFilter(self._remember)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; called on the processor's thread."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                logger.warning("traces are not delivered", extra={"detail": self._reason})
            self._lost += len(spans)
        elif self._lost:
            logger.info("traces are delivered again", extra={"lost_spans": self._lost})
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Close the connection and stop waiting for another try."""
        self._exporter.shutdown()

    def _remember(self, record: logging.LogRecord) -> bool:
        self._reason = record.getMessage()[:LONGEST_REASON]
        return False


def _span(tracer: trace.Tracer, name: str, kind: Kind, context: Context) -> OtelSpan:
    # What an exception says may quote a question.
    span = tracer.start_span(name, context, _KINDS[kind], record_exception=False, set_status_on_exception=False)
    return OtelSpan(tracer, span)


def _resource(service: str, version: str) -> Resource:
    found = Resource.create({SERVICE_VERSION: version})
    named = str(found.attributes[SERVICE_NAME])
    return found.merge(Resource({SERVICE_NAME: service})) if named.startswith(UNNAMED) else found


def _known(attributes: Attributes) -> dict[str, str | bool | int | float | Sequence[str]]:
    return {name: value for name, value in attributes.items() if value is not None}
