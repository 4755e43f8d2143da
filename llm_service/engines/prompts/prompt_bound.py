"""A bound that refuses prompts too long for any tokenizer before they are tokenized."""

from collections.abc import Iterable

from engines.errors import context_exceeded
from engines.requests import ChatMessage


class PromptBound:
    """Fewest tokens that a conversation can have: its characters over those of the longest token.

    Blank space is not counted, since some tokenizers collapse it; so nothing that could fit is refused.
    """

    def __init__(self, vocabulary: Iterable[str], context_length: int) -> None:
        self._longest = max((len(token) for token in vocabulary), default=1)
        self._context_length = context_length

    def check(self, messages: Iterable[ChatMessage]) -> None:
        """Raise ``ContextLengthExceeded`` for a conversation that cannot fit."""
        characters = sum(len(word) for message in messages for word in message.content.split())
        fewest = -(-characters // self._longest)
        if fewest >= self._context_length:
            raise context_exceeded(fewest, self._context_length, at_least=True)
