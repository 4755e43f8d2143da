"""Splitting of running text into chunks that fit one vector."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

CHUNK_CHARS: Final = 700
"""Fits the embedding model's limit of 256 tokens, about 700 characters of Spanish; the rest would be cut off."""

_SENTENCE_END = re.compile(r"[.!?…][\"'»”)]*\s+")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list or table, with the number of its first line, or of its page, counted from 1."""

    text: str
    line: int


def blocks(lines: Sequence[str], first_line: int = 1) -> Iterator[Block]:
    """Yield the blocks between blank lines."""
    held: list[str] = []
    for number, line in enumerate([*lines, ""]):
        if line.strip():
            held.append(line.rstrip())
        elif held:
            yield Block("\n".join(held), first_line + number - len(held))
            held = []


def chunks(parts: Sequence[Block], limit: int = CHUNK_CHARS) -> Iterator[Block]:
    """Yield chunks of at most ``limit`` characters: whole blocks where they fit, else whole lines,
    sentences or words. Only a word longer than ``limit`` is cut.
    """
    held: Block | None = None
    for part in parts:
        for piece in _pieces(part, limit):
            if held is None:
                held = piece
            elif len(held.text) + 2 + len(piece.text) <= limit:
                held = Block(f"{held.text}\n\n{piece.text}", held.line)
            else:
                yield held
                held = piece
    if held is not None:
        yield held


def _pieces(block: Block, limit: int) -> Iterator[Block]:
    if len(block.text) <= limit:
        yield block
        return
    lines = block.text.split("\n")
    if all(len(line) <= limit for line in lines) and _is_listing(lines):
        yield from (Block(text, block.line) for text in _packed(lines, "\n", limit))
        return
    fitting = [part for sentence in _sentences(" ".join(block.text.split())) for part in _fitting(sentence, limit)]
    yield from (Block(text, block.line) for text in _packed(fitting, " ", limit))


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for found in _SENTENCE_END.finditer(text):
        yield text[start : found.end()].rstrip()
        start = found.end()
    yield text[start:]


def _is_listing(lines: Sequence[str]) -> bool:
    return sum(line.lstrip().startswith(("-", "*", "+", "|", "•")) for line in lines) * 2 > len(lines)


def _fitting(sentence: str, limit: int) -> Iterator[str]:
    if len(sentence) <= limit:
        yield sentence
        return
    pieces = [word[at : at + limit] for word in sentence.split() for at in range(0, len(word), limit)]
    yield from _packed(pieces, " ", limit)


def _packed(parts: Sequence[str], joint: str, limit: int) -> Iterator[str]:
    held = ""
    for part in parts:
        if held and len(held) + len(joint) + len(part) > limit:
            yield held
            held = part
        else:
            held = f"{held}{joint}{part}" if held else part
    if held:
        yield held
