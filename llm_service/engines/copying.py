"""Which kinds of requests are answered by repeating what they say, as prompt lookup likes it."""

from collections import OrderedDict
from collections.abc import Sequence

from engines.base import GenerationRequest

KINDS = 64
SMOOTHING = 0.3
WORTHWHILE = 2.0
"""Tokens a step from which prompt lookup pays: its steps take up to one and a half times as long."""
FEWEST_TOKENS = 16
"""Shorter answers say little, and gain little."""


class CopyingRecord:
    """How many tokens a step prompt lookup would have given, by kind of request.

    Requests are of one kind when their system messages are the same: it is the instruction that makes
    a model quote. The answers themselves tell, however they were generated, so that nothing has to be
    tried out: each is gone through once as prompt lookup would have.
    """

    def __init__(self, max_tokens: int, max_ngram: int) -> None:
        self._max_tokens = max_tokens
        self._max_ngram = max_ngram
        self._rates: OrderedDict[int, float] = OrderedDict()

    def observe(self, request: GenerationRequest, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> None:
        """Learn from a whole answer."""
        if len(answer_ids) < FEWEST_TOKENS:
            return
        kind = _kind(request)
        rate = tokens_per_step(prompt_ids, answer_ids, self._max_tokens, self._max_ngram)
        known = self._rates.pop(kind, None)
        self._rates[kind] = rate if known is None else known + SMOOTHING * (rate - known)
        if len(self._rates) > KINDS:
            self._rates.popitem(last=False)

    def worthwhile(self, request: GenerationRequest) -> bool:
        """Whether answers to requests of this kind have been mostly repetition."""
        return self._rates.get(_kind(request), 0.0) >= WORTHWHILE


def _kind(request: GenerationRequest) -> int:
    return hash(tuple(message.content for message in request.messages if message.role == "system"))


def tokens_per_step(prompt_ids: Sequence[int], answer_ids: Sequence[int], max_tokens: int, max_ngram: int) -> float:
    """Return the tokens that each step of prompt lookup would have given on the way to this answer.

    A step proposes up to ``max_tokens`` tokens: those after the first place where the last ``max_ngram``
    tokens, or else fewer, occurred before. It yields those that are right and one more.
    """
    tokens = [*prompt_ids, *answer_ids]
    first_seen: dict[tuple[int, ...], int] = {}
    indexed = 0
    at, steps = len(prompt_ids) + 1, 1
    while at < len(tokens):
        # What ends at the very last token is what is looked for; it must not find itself.
        for end in range(max(indexed, 1), at):
            for size in range(1, min(max_ngram, end) + 1):
                first_seen.setdefault(tuple(tokens[end - size : end]), end)
        indexed = at
        found = (first_seen.get(tuple(tokens[at - size : at])) for size in range(min(max_ngram, at), 0, -1))
        source = next((end for end in found if end is not None), None)
        accepted = 0
        if source is not None:
            while accepted < max_tokens and at + accepted < len(tokens) and source + accepted < at:
                if tokens[source + accepted] != tokens[at + accepted]:
                    break
                accepted += 1
        at += accepted + 1
        steps += 1
    return len(answer_ids) / steps
