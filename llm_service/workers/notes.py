"""A worker's log lines about requests and its counts of steps."""

import logging
from collections import Counter
from collections.abc import Iterable

from engines.base import Embedded, Engine, Failed, Finished, Ranked, RequestEvent
from engines.request_ids import http_request_of
from workers.messages import Heartbeat

logger = logging.getLogger("worker")


def note_submitted(request_id: str) -> None:
    """Log that the engine accepted a request."""
    logger.debug("request accepted", extra={"request_id": http_request_of(request_id)})


def note_cancelled(request_id: str) -> None:
    """Log that a caller has left."""
    logger.debug("request cancelled", extra={"request_id": http_request_of(request_id)})


def note_ended(events: Iterable[RequestEvent]) -> None:
    """Log the ends among these events, never their text."""
    for event in events:
        about: dict[str, object] = {"request_id": http_request_of(event.request_id)}
        if isinstance(event, Failed):
            logger.warning("request failed", extra=about | {"failure": event.error.type, "reason": event.error.message})
        elif isinstance(event, Finished) and logger.isEnabledFor(logging.DEBUG):
            about |= {"tokens_in": event.prompt_tokens, "tokens_out": event.completion_tokens}
            logger.debug("request answered", extra=about)
        elif isinstance(event, Embedded | Ranked) and logger.isEnabledFor(logging.DEBUG):
            logger.debug("request computed", extra=about | {"texts": len(event.tokens)})


class StepCounts:
    """Batch sizes of the steps since the last heartbeat."""

    def __init__(self) -> None:
        self._batch_sizes: Counter[int] = Counter()

    def add(self, engine: Engine) -> None:
        """Count the engine's last step."""
        size = engine.batch_size
        if size:
            self._batch_sizes[size] += 1

    def heartbeat(self, engine: Engine) -> Heartbeat:
        """Return the heartbeat with the counts and reset them."""
        counts, self._batch_sizes = dict(self._batch_sizes), Counter()
        return Heartbeat(engine.kv_cache_usage, counts)
