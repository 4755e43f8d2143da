"""OpenTelemetry's SDK and its OTLP/HTTP exporter. Imported only with ``TRACING=otlp``.

Destination, sampling, queue and timeouts are the SDK's own settings, ``OTEL_…``. Finished spans go into a bounded
queue that a thread empties: a slow, hanging or absent collector costs spans, never a request's time.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

CLOSE_S = 3.0
"""Seconds for the last spans; the rest is dropped."""
LONGEST_REASON = 200
logger = logging.getLogger(__name__)


class Exporter:
    """Sends the spans of one app. Its provider is not the global one, so no library adds spans of its own."""

    def __init__(self, environment: Mapping[str, str], service: str, version: str) -> None:
        # The SDK reads only the process's environment, which beats files.
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        own = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version})
        self._resource = own.merge(OTELResourceDetector().detect())
        self._exporter = _ReportingExporter(trace_exporter.OTLPSpanExporter())
        self._provider: TracerProvider | None = None

    def start(self) -> trace.Tracer:
        """Start the sending thread and return the tracer."""
        # ``close`` shuts down within a time limit; the interpreter's exit would not.
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        return self._provider.get_tracer("service_kit")

    async def close(self) -> None:
        """Send the remaining spans within ``CLOSE_S`` seconds."""
        if self._provider is None:
            return
        # A daemon thread: a hanging collector does not keep the process alive.
        sending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, CLOSE_S)
        if sending.is_alive():
            logger.warning("the last spans were dropped: the collector does not accept them")


class _ReportingExporter(SpanExporter):
    """Logs one line when delivery fails and one when it works again, in place of the exporter's many."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._reason = ""
        logging.getLogger(trace_exporter.__name__).addFilter(self._remember)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; runs on the processor's thread."""
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
        """Close the connection and stop retrying."""
        self._exporter.shutdown()

    def _remember(self, record: logging.LogRecord) -> bool:
        self._reason = record.getMessage()[:LONGEST_REASON]
        return False
