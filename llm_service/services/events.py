"""Events of the service, for its metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

CacheName = Literal["response", "embedding"]


@dataclass(frozen=True, slots=True)
class Waited:
    """A generation request has left the queue, for the engine or at its deadline."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Generated:
    """The engine has finished an answer."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class CacheAsked:
    """A cache was queried for answers, or for the vectors of a request's texts."""

    cache: CacheName
    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class TextsEmbedded:
    """The engine has computed vectors for ``count`` texts."""

    count: int


@dataclass(frozen=True, slots=True)
class DocumentsRanked:
    """The engine has scored ``count`` documents."""

    count: int


@dataclass(frozen=True, slots=True)
class AnswerRejected:
    """An answer that ended by itself does not follow its format, or a call its tool's parameters."""


Event = Waited | Generated | CacheAsked | TextsEmbedded | DocumentsRanked | AnswerRejected
Listener = Callable[[Event], None]


class Events:
    """Passes events to subscribers, in order of subscription."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` with every future event; it must be fast and must not raise."""
        self._listeners.append(listener)

    def publish(self, event: Event) -> None:
        """Pass an event to all subscribers."""
        for listener in self._listeners:
            listener(event)
