"""Other callers: they keep a service busy while something else is measured."""

import itertools
import threading
import time
from types import TracebackType
from typing import Self

from bench.processes import MeasuringFailed
from bench.questions import TEMPERATURE, TOP_P, numbered, questions
from bench.wire import NO_STORE, Call, Caller

ANSWER_TOKENS = 192
SETTLE_S = 2.0


class Others:
    """So many callers, each asking again as soon as it is answered, while the ``with`` block runs."""

    def __init__(self, port: int, callers: int) -> None:
        self._callers = [Caller(port) for _ in range(callers)]
        self._stopped = False
        self._fault: Exception | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(caller, number), daemon=True)
            for number, caller in enumerate(self._callers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(SETTLE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        for thread in self._threads:
            thread.join()
        if self._fault is not None and error is None:
            raise MeasuringFailed(f"another caller was not answered: {self._fault}") from self._fault

    def _run(self, caller: Caller, number: int) -> None:
        try:
            with caller:
                for turn in itertools.count():
                    # Lengths differ, so that they do not all begin and end together.
                    tokens = ANSWER_TOKENS // 2 if turn == 0 and number % 2 else ANSWER_TOKENS
                    caller.call(_call(number + 7 * turn, tokens).encoded())
                    if self._stopped:
                        return
        except (OSError, MeasuringFailed) as fault:
            self._fault = fault


def _call(number: int, tokens: int) -> Call:
    (prompt,) = numbered(questions(1, number))
    fields = {"max_new_tokens": tokens, "temperature": TEMPERATURE, "top_p": TOP_P}
    return Call("/api/llm/generate", {"messages": [{"role": "user", "content": prompt}], **fields}, NO_STORE)
