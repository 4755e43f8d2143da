"""What happens in the service, for whoever counts it; the service itself knows no metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

CacheName = Literal["response", "embedding"]


@dataclass(frozen=True, slots=True)
class Waited:
    """A generation request has left the queue, to the engine or because its time was over."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Generated:
    """The engine has finished an answer."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class CacheAsked:
    """A cache was asked for answers, or for the vectors of a request's texts."""

    cache: CacheName
    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class TextsEmbedded:
    """The engine has computed vectors for so many texts."""

    count: int


Event = Waited | Generated | CacheAsked | TextsEmbedded
Listener = Callable[[Event], None]


class Events:
    """Passes events on to those who have subscribed, in the order in which they did."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` with every event from now on; it must be quick and must not raise."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        for listener in self._listeners:
            listener(event)
