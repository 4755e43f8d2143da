"""How quick the last answers were."""

import statistics
import time
from collections import deque
from dataclasses import dataclass

from observability.request_record import RequestRecord

WINDOW_S = 300.0
_MOST = 200


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of ``answers``; ``None`` where there were none. ``tokens_per_second`` is that of one request, after its
    time in the queue.
    """

    answers: int
    tokens_per_second: float | None
    ttft_ms: float | None


class Recent:
    """The computed answers of the last minutes; answers from the response cache do not count."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float, float]] = deque(maxlen=_MOST)

    def note(self, record: RequestRecord) -> None:
        """Take note of a finished request."""
        if record.tokens_out and record.ttft_s is not None and record.cache != "hit" and record.error is None:
            running = max(record.seconds - (record.queue_s or 0.0), 1e-6)
            self._answers.append((time.monotonic(), record.tokens_out / running, 1000 * record.ttft_s))

    def speed(self) -> Speed:
        """Return the medians of the last ``WINDOW_S`` seconds."""
        begin = time.monotonic() - WINDOW_S
        found = [(rate, ttft) for at, rate, ttft in self._answers if at >= begin]
        if not found:
            return Speed(0, None, None)
        rates, firsts = zip(*found, strict=True)
        return Speed(len(found), round(statistics.median(rates), 2), round(statistics.median(firsts), 1))
