"""Control tokens quoted in a message stay text.

Chat templates write a conversation as one text, and tokenizers read ``<|im_start|>`` or ``[INST]`` in
that text as the token that begins a turn, so a document pasted into a question could
speak as the system. A space after the first character keeps it readable and prevents that.
"""

import re
from collections.abc import Callable, Iterable, Sequence

_BRACKETS = {"<": ">", "[": "]"}
_SHORTEST = 3


class ControlTokens:
    """The control tokens of one tokenizer.

    Args:
        vocabulary: text and id of every token.
        decode: texts of token sequences, control tokens left out, which distinguishes them, in a
            GGUF file as in a tokenizer of the hub.

    """

    def __init__(
        self, vocabulary: Iterable[tuple[str, int]], decode: Callable[[list[list[int]]], Sequence[str]]
    ) -> None:
        bracketed = {text: token for text, token in vocabulary if _is_bracketed(text)}
        shown = decode([[token] for token in bracketed.values()]) if bracketed else []
        self.texts = frozenset(text for text, seen in zip(bracketed, shown, strict=True) if not seen)
        self.as_text = neutraliser(self.texts)


def neutraliser(texts: Iterable[str]) -> Callable[[str], str]:
    """Return the function that leaves none of these texts in a message's content."""
    # The longest first: one may begin like another.
    alternatives = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    if not alternatives:
        return lambda content: content
    pattern = re.compile(alternatives)
    return lambda content: pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", content)


def _is_bracketed(text: str) -> bool:
    return len(text) >= _SHORTEST and _BRACKETS.get(text[0]) == text[-1]
