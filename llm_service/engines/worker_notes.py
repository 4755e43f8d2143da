"""What a worker notes of its requests and its steps: lines for the log, counts for the metrics."""

import logging
from collections import Counter
from collections.abc import Iterable

from engines.base import Embedded, Engine, Failed, Finished, Heartbeat, RequestEvent
from engines.request_ids import http_request_of

logger = logging.getLogger("worker")


def note_submitted(request_id: str) -> None:
    """Log that a request was taken on."""
    logger.debug("request taken on", extra={"request_id": http_request_of(request_id)})


def note_cancelled(request_id: str) -> None:
    """Log that nobody waits for a request any more."""
    logger.debug("request cancelled", extra={"request_id": http_request_of(request_id)})


def note_ended(events: Iterable[RequestEvent]) -> None:
    """Log the ends among these events; never what was asked or answered."""
    for event in events:
        about: dict[str, object] = {"request_id": http_request_of(event.request_id)}
        if isinstance(event, Failed):
            logger.warning("request failed", extra=about | {"failure": str(event.failure), "reason": event.message})
        elif isinstance(event, Finished) and logger.isEnabledFor(logging.DEBUG):
            about |= {"tokens_in": event.prompt_tokens, "tokens_out": event.completion_tokens}
            logger.debug("request answered", extra=about)
        elif isinstance(event, Embedded) and logger.isEnabledFor(logging.DEBUG):
            logger.debug("request embedded", extra=about | {"texts": len(event.tokens)})


class StepCounts:
    """How much was computed together in each step since the last heartbeat."""

    def __init__(self) -> None:
        self._batch_sizes: Counter[int] = Counter()

    def add(self, engine: Engine) -> None:
        """Count the step that the engine has just made."""
        size = engine.batch_size
        if size:
            self._batch_sizes[size] += 1

    def heartbeat(self, engine: Engine) -> Heartbeat:
        """Return the heartbeat with the counts, which begin anew."""
        counts, self._batch_sizes = dict(self._batch_sizes), Counter()
        return Heartbeat(engine.running, engine.kv_cache_usage, counts)
