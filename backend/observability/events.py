"""What happens in the backend that is worth counting. Whoever sees it tells an ``Observe``, and knows no more."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestOver:
    """A request was answered, or its client left (499). ``route`` is a template, never a path."""

    route: str
    method: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The store was searched for a question, the question's vector included."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A question has its answer."""

    served_by: str
    mode: str


@dataclass(frozen=True, slots=True)
class ModelAnswered:
    """A language model gave a whole answer."""

    served_by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FellBack:
    """Somebody could not do their part and the next best took over; one event for each such step."""

    reason: str


Event = RequestOver | Retrieved | Answered | ModelAnswered | FellBack
Observe = Callable[[Event], None]


def unobserved(event: Event) -> None:
    """Tell nobody."""
