"""A span that remembers what it is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from observability.tracing import Attributes, Kind


@dataclass
class RecordedSpan:
    name: str = "request"
    kind: Kind = "server"
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    children: list["RecordedSpan"] = field(default_factory=list)
    failed: bool = False
    recording: bool = True
    """Until it has ended."""

    @property
    def log_fields(self) -> Mapping[str, str]:
        return {}

    def child(self, name: str, kind: Kind = "internal") -> "RecordedSpan":
        made = RecordedSpan(name, kind)
        self.children.append(made)
        return made

    def set(self, attributes: Attributes) -> None:
        if self.recording:
            self.attributes |= {name: value for name, value in attributes.items() if value is not None}

    def event(self, name: str, attributes: Attributes) -> None:
        self.events.append((name, dict(attributes)))

    def fail(self, error_type: str) -> None:
        if self.recording:
            self.failed = True
            self.attributes["error.type"] = error_type

    def end(self) -> None:
        self.recording = False

    def headers(self) -> dict[str, str]:
        return {"traceparent": f"the span {id(self)}"}

    def family(self) -> Iterator["RecordedSpan"]:
        yield self
        for child in self.children:
            yield from child.family()
