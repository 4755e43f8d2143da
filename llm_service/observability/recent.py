"""Speed of recent answers."""

import statistics
import time
from collections import deque

from observability.request_record import RequestRecord

WINDOW_S = 300.0
_MOST = 200


class Recent:
    """The computed answers of the last minutes; answers from the response cache do not count."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float, float]] = deque(maxlen=_MOST)

    def note(self, record: RequestRecord) -> None:
        """Take note of a finished request."""
        if record.tokens_out and record.ttft_s is not None and record.cache != "hit" and record.error is None:
            running = max(record.seconds - (record.queue_s or 0.0), 1e-6)
            self._answers.append((time.monotonic(), record.tokens_out / running, 1000 * record.ttft_s))

    def speed(self) -> dict[str, float | None]:
        """Return the number of answers of the last ``WINDOW_S`` seconds and their medians, ``None`` without any.
        ``tokens_per_second`` is that of one request, after its time in the queue.
        """
        begin = time.monotonic() - WINDOW_S
        found = [(rate, ttft) for at, rate, ttft in self._answers if at >= begin]
        rates, firsts = zip(*found, strict=True) if found else ((), ())
        return {
            "seconds": WINDOW_S,
            "answers": len(found),
            "tokens_per_second": round(statistics.median(rates), 2) if found else None,
            "ttft_ms": round(statistics.median(firsts), 1) if found else None,
        }
