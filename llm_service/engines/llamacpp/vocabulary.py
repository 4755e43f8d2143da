"""Control tokens of a GGUF file: what its tokenizer must not find in a message."""

from dataclasses import dataclass
from pathlib import Path

from models.gguf_header import read_gguf_header

_TOKENS, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
_CONTROL, _USER_DEFINED = 3, 4
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """``control``: texts that llama.cpp reads as control tokens; ``longest``: bytes of the longest token, a bound on
    what fits the context; ``size``: number of tokens.
    """

    control: tuple[str, ...]
    longest: int
    size: int


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the vocabulary of a GGUF file; raises ``GGUFError``.

    Some files mark ``<|im_end|>`` and its like as defined by the user; llama.cpp corrects that when it loads them.
    """
    fields = read_gguf_header(path, frozenset({_TOKENS, _TYPES}))
    texts, kinds = fields.get(_TOKENS, []), fields.get(_TYPES, [])
    control = [
        text
        for text, kind in zip(texts, kinds, strict=False)
        if len(text) >= _SHORTEST and (kind == _CONTROL or (kind == _USER_DEFINED and _looks_like_control(text)))
    ]
    return Vocabulary(tuple(control), max((len(text.encode()) for text in texts), default=1), len(texts))


def _looks_like_control(text: str) -> bool:
    return text[:2] in ("<|", "<｜") and text[-2:] in ("|>", "｜>")
