"""Events of the backend as events of spans."""

from observability.events import Event, FellBack, Observe
from observability.tracing import current


def noting(observe: Observe) -> Observe:
    """Return an ``Observe`` that notes each step down on the span under way, and tells ``observe`` everything."""

    def note(event: Event) -> None:
        if isinstance(event, FellBack):
            current().event("fallback", {"reason": event.reason})
        observe(event)

    return note
