"""Spans: what a request waits for, and how long, across processes (docs/operations.md, Traces).

The rest of the backend knows spans only by this file, which needs no package; ``observability.tracing_otlp``
makes those that are sent somewhere. Every span belongs to a request. Where there is none, because tracing is
off or the route is not traced, ``current`` is one that does nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Literal, Protocol

Kind = Literal["server", "client", "internal"]
Attributes = Mapping[str, str | bool | int | float | Sequence[str] | None]
"""By their names in OpenTelemetry's conventions, or ``app.…``; ``None`` is left out. Never what somebody has
written: no question, answer or document, nor what an exception says of one.
"""


class Span(Protocol):
    """A piece of work."""

    @property
    def recording(self) -> bool:
        """Whether what is noted goes anywhere."""
        ...

    @property
    def log_fields(self) -> Mapping[str, str]:
        """What the log lines of a request carry."""
        ...

    def child(self, name: str, kind: Kind = "internal") -> "Span":
        """Begin a piece of this one."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Note what is known."""
        ...

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something has happened now."""
        ...

    def fail(self, error_type: str) -> None:
        """Note that it failed, by a name and not by a message."""
        ...

    def end(self) -> None:
        """End it; what comes later is not noted, a second time does nothing."""
        ...

    def headers(self) -> dict[str, str]:
        """Return what tells a neighbour to go on with this trace, in W3C's form."""
        ...


class NoSpan:
    """Does nothing."""

    recording = False

    @property
    def log_fields(self) -> Mapping[str, str]:  # noqa: D102 - see Span
        return {}

    def child(self, name: str, kind: Kind = "internal") -> Span:  # noqa: ARG002, D102 - see Span
        return self

    def set(self, attributes: Attributes) -> None:  # noqa: D102
        pass

    def event(self, name: str, attributes: Attributes) -> None:  # noqa: D102
        pass

    def fail(self, error_type: str) -> None:  # noqa: D102
        pass

    def end(self) -> None:  # noqa: D102
        pass

    def headers(self) -> dict[str, str]:  # noqa: D102
        return {}


class Tracer(Protocol):
    """Where spans come from and go to."""

    def start(self) -> None:
        """Begin to send spans."""
        ...

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ...

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        """Begin the span of a request, in the caller's trace when its headers name one."""
        ...


class NoTracer:
    """Tracing is off."""

    def start(self) -> None:  # noqa: D102 - see Tracer
        pass

    async def close(self) -> None:  # noqa: D102
        pass

    def request(self, name: str, headers: Mapping[str, str]) -> Span:  # noqa: ARG002, D102
        return NO_SPAN


NO_SPAN: Span = NoSpan()
_current: ContextVar[Span] = ContextVar("current_span", default=NO_SPAN)


def current() -> Span:
    """Return the span whose child new work is, in this task and those that it starts."""
    return _current.get()


@contextlib.contextmanager
def inside(span: Span) -> Iterator[None]:
    """Make ``span`` the current one. For coroutines: a generator's next step may be another task's."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def class_name(error: BaseException) -> str:
    """Return what kind of error it is, and nothing of what it says."""
    return type(error).__qualname__


@contextlib.contextmanager
def ended(span: Span, name_of: Callable[[BaseException], str] = class_name) -> Iterator[Span]:
    """End ``span`` with the block. Whoever is cancelled has not failed: ``app.cancelled`` says so."""
    try:
        yield span
    except (asyncio.CancelledError, GeneratorExit):
        span.set({"app.cancelled": True})
        raise
    except BaseException as error:
        span.fail(name_of(error))
        raise
    finally:
        span.end()


def open_tracer(tracing: Literal["off", "otlp"], environment: Mapping[str, str], service: str, version: str) -> Tracer:
    """Return what ``TRACING`` asks for; ends the start with one line when its packages are missing.

    ``environment`` holds variables of OpenTelemetry's that were set in files, ``service`` is the name unless
    they or the process's own environment give another.
    """
    if tracing == "off":
        return NoTracer()
    try:
        from observability.tracing_otlp import OtlpTracer
    except ImportError as error:
        missing = error.name or "opentelemetry"
        raise SystemExit(
            f"configuration error: TRACING: {tracing} needs packages that are not installed ({missing}): "
            "pip install -r requirements-tracing.txt -c constraints.txt"
        ) from None
    return OtlpTracer(environment, service, version)
