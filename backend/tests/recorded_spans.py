"""Spans of the real SDK, kept in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from service_kit.observability import tracing


class Recorder:
    """Stands in for ``service_kit.observability.otlp.Exporter``; holds the ended spans in the order of their start."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._memory))

    def start(self) -> trace.Tracer:
        return self._provider.get_tracer("tests")

    async def close(self) -> None:
        self._provider.shutdown()

    def all(self) -> list[Any]:
        return sorted(self._memory.get_finished_spans(), key=lambda span: span.start_time or 0)

    @property
    def request(self) -> Any:
        (found,) = (span for span in self.all() if span.parent is None)
        return found

    def children(self, parent: Any = None) -> list[Any]:
        span_id = (parent or self.request).context.span_id
        return [span for span in self.all() if span.parent is not None and span.parent.span_id == span_id]


@contextmanager
def traced_request() -> Iterator[Recorder]:
    """Run the block inside the span of a request, which ends with it."""
    recorder = Recorder()
    traces = tracing.Tracing(recorder)  # type: ignore[arg-type]
    traces.start()
    with traces.request("request", {}) as span:
        try:
            yield recorder
        finally:
            tracing.end(span)


def failed(span: ReadableSpan) -> bool:
    return span.status.status_code is trace.StatusCode.ERROR


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def traceparent(span: Any) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
