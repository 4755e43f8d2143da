"""What is known of a request when it is over, for its line in the log."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from starlette.types import Scope


@dataclass(slots=True)
class AccessRecord:
    """Filled while the request is answered; what stays ``None`` is not written. Times in milliseconds."""

    retrieval_ms: float | None = None
    llm_ms: float | None = None
    queue_ms: float | None = None
    ttft_ms: float | None = None
    tokens_out: int | None = None
    model: str | None = None
    served_by: str | None = None
    answer_mode: str | None = None
    degraded: bool | None = None
    cache: Literal["hit", "miss"] | None = None
    error: str | None = None

    def note_timings(self, timings: Mapping[str, float]) -> None:
        """Note the phases of an answer that are worth a field."""
        self.retrieval_ms = timings.get("retrieval_ms")
        self.llm_ms = timings.get("generation_ms")
        self.queue_ms = timings.get("queue_ms")
        self.ttft_ms = timings.get("ttft_ms")

    def told(self) -> dict[str, str | bool | int | float]:
        """Return what is known."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def access_record_of(scope: Scope) -> AccessRecord:
    """Return the request's record; a request that came past ``RequestContextMiddleware`` has one that nobody reads."""
    record = scope.setdefault("state", {}).setdefault("access_record", AccessRecord())
    assert isinstance(record, AccessRecord)
    return record
