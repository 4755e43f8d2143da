"""Search for the answer that makes a step fail, which the pipeline does not name."""

from collections import deque
from collections.abc import Sequence

from engines.openvino.answer import Answer

MOST_FAULTS = 3
"""Failed steps that an answer may take part in; beyond that, no single answer is the cause."""


class Suspects:
    """The answers of a step that failed, run one at a time: the one that fails again is the cause."""

    def __init__(self) -> None:
        self._waiting: deque[Answer] = deque()
        self.alone: Answer | None = None
        """The answer that runs alone."""

    def add(self, answers: Sequence[Answer]) -> bool:
        """Take the answers of a failed step, those that cannot resume first; ``False`` when none of them can be its
        cause.
        """
        for answer in answers:
            answer.faults += 1
            answer.safe_after = answer.text.token_count
            if not answer.resumable:
                answer.replayed = deque(answer.text.token_ids[answer.base :])
        self._waiting.extend(sorted(answers, key=lambda answer: answer.resumable))
        return bool(answers) and max(answer.faults for answer in answers) <= MOST_FAULTS

    def take(self) -> Answer | None:
        """Return the next answer to run alone; ``None`` when one does already, or none is left."""
        if self.alone is not None or not self._waiting:
            return None
        self.alone = self._waiting.popleft()
        return self.alone

    def cleared(self) -> Answer | None:
        """Return the answer that runs alone once it is past the failed step, to wait for the others; one that cannot
        resume runs to its end.
        """
        answer = self.alone
        return answer if answer and answer.resumable and answer.text.token_count > answer.safe_after else None

    def drop(self, answer: Answer) -> None:
        """Forget an answer; others are ignored."""
        if self.alone is answer:
            self.alone = None
        elif answer in self._waiting:
            self._waiting.remove(answer)
