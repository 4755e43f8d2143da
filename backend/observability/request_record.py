"""The record of a request: access line, metrics and span are written from it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from service_kit.observability import records


@dataclass(slots=True)
class RequestRecord(records.RequestRecord):
    """Filled while the request is answered. Times in milliseconds."""

    retrieval_ms: float | None = None
    llm_ms: float | None = None
    queue_ms: float | None = None
    ttft_ms: float | None = None
    tokens_out: int | None = None
    model: str | None = None
    served_by: str | None = None
    answer_mode: str | None = None
    degraded: bool | None = None
    reason: str | None = None
    cache: Literal["hit", "miss"] | None = None

    def note_timings(self, timings: Mapping[str, float]) -> None:
        """Note the phases of an answer."""
        self.retrieval_ms = timings.get("retrieval_ms")
        self.llm_ms = timings.get("generation_ms")
        self.queue_ms = timings.get("queue_ms")
        self.ttft_ms = timings.get("ttft_ms")

    def facts(self) -> dict[str, str | bool | int | float | None]:
        """Return the fields of the access line and the span."""
        common = {field.name for field in fields(records.RequestRecord)}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in common}
