"""An OpenTelemetry collector, as far as traces over HTTP go: keeps what it is sent."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

ENVIRONMENT = {"TRACING": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Spans are sent soon after they end."""


@dataclass(frozen=True)
class Span:
    """One span as it arrived; ids in hexadecimal."""

    service: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    events: dict[str, dict[str, Any]]


@dataclass
class Collector:
    """What has arrived. ``raw`` is every body, byte by byte."""

    url: str = ""
    raw: bytes = b""
    spans: list[Span] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return what has a service send its spans here."""
        return {**ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": self.url}

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def named(self, name: str, trace_id: str) -> Span:
        """Return the one span of a trace that is called so."""
        (found,) = [span for span in self.trace(trace_id) if span.name == name]
        return found

    def take(self, body: bytes) -> None:
        """Keep an export request."""
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_span(service, span) for span in scope.spans]


@contextlib.contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector for the length of a block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _span(service: str, span: WireSpan) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        events={event.name: _values(event.attributes) for event in span.events},
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
