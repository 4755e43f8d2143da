"""Answers that must not depend on what else is generated: one at a time, in a pipeline of their own."""

from collections import deque

from engines.base import GenerationRequest
from engines.openvino_lane import Answer, Lane
from engines.openvino_second_lane import SecondLane


class Solo:
    """The queue of the requests that name a seed.

    In a batch the same row is computed by other kernels, and a prompt is read in other pieces; activations
    are rounded to 8 bits on the way, which turns the difference of the seventh digit into one of the
    second. Another token follows soon. So a request with a seed has a pipeline for itself, without
    prefix cache: always the same kernels on the same numbers (docs/decisions/0015).
    """

    def __init__(self, second: SecondLane) -> None:
        self.second = second
        self._waiting: deque[Answer] = deque()

    @property
    def waiting(self) -> int:
        """Answers that have not begun."""
        return len(self._waiting)

    def wants(self, request: GenerationRequest) -> bool:
        """Whether a request is to be answered alone."""
        return request.sampling.seed is not None and not self.second.unavailable

    def add(self, answer: Answer) -> None:
        """Queue an answer."""
        self.second.open()
        self._waiting.append(answer)

    def cancel(self, request_id: str) -> None:
        """Drop an answer that waits; unknown ids are ignored."""
        self._waiting = deque(answer for answer in self._waiting if answer.request.id != request_id)

    def clear(self) -> None:
        """Drop all that wait."""
        self._waiting.clear()

    def feed(self, shared: Lane) -> None:
        """Begin the next answer when its pipeline is free; without one, hand all to the shared pipeline."""
        lane = self.second.lane
        if self.second.unavailable:
            while self._waiting:
                shared.add(self._waiting.popleft())
        elif lane is not None and self._waiting and not lane.running:
            lane.add(self._waiting.popleft())
