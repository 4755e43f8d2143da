r"""Regular expressions as expressions of a grammar.

What ECMAScript and Python read alike: classes, groups, choices, repetitions, anchors at both ends. A class such as
``\w`` stands for its ASCII characters, which belong to it in both.
"""

import json
import re
from dataclasses import replace

from services.structure.expressions import (
    LAST_CHARACTER,
    SURROGATES,
    Alt,
    Chars,
    Expression,
    Literal,
    Repeat,
    Seq,
    alt,
    chars,
    seq,
)

Ranges = list[tuple[int, int]]
MOST_REPETITIONS = 4096
_DIGITS: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [(0x09, 0x0D), (0x20, 0x20)]
_ALL_SPACE: Ranges = [
    *_SPACE, (0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
]  # fmt: skip
# What is certainly no digit, no word character, no space, by either dialect.
_CLASSES: dict[str, Ranges] = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": [(0x00, 0x2F), (0x3A, 0x65F)],
    "W": [(0x00, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7F)],
    "S": list(chars(_ALL_SPACE, inverted=True).ranges),
}
_OPPOSITE = str.maketrans("dwsDWS", "DWSdws")
_LINE_ENDS: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CONTROL = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "0": 0x00}
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})")
_HEX = {"x": 2, "u": 4}
_JSON_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r"}


ANY = chars([(0, 0x1F), (0x7F, 0x9F), *_LINE_ENDS], inverted=True)
"""A printable character, for what surrounds a pattern without anchors."""


class NotRegular(ValueError):
    """An expression with parts that no grammar of this kind can follow; the message names them."""


def whole_match(pattern: str) -> Expression:
    """Return the texts that match as a whole. Raises ``NotRegular``."""
    return alt(*(body for _, body, _ in _Parser(pattern).branches()))


def searched(pattern: str, filler: Expression) -> tuple[Expression, bool]:
    """Return texts in which the pattern is found, between ``filler`` where it is not anchored, and whether it is
    anchored at both ends. Raises ``NotRegular``.
    """
    branches = _Parser(pattern).branches()
    free = Repeat(filler, 0, None)
    return (
        alt(*(seq(*(() if start else (free,)), body, *(() if end else (free,))) for start, body, end in branches)),
        all(start and end for start, _, end in branches),
    )


def in_json(expression: Expression) -> Expression:
    """Return what the texts of an expression look like inside a JSON string."""
    match expression:
        case Literal(text):
            return Literal(json.dumps(text, ensure_ascii=False)[1:-1])
        case Chars(ranges):
            # Of the control characters those with a short escape; there are always others in a class with more.
            escapes = [text for code, text in _JSON_ESCAPES.items() if any(low <= code <= high for low, high in ranges)]
            plain = chars([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), *chars(ranges, inverted=True).ranges], inverted=True)
            return plain if not escapes else alt(*([plain] if plain.ranges else []), *escapes)
        case Seq(parts):
            return Seq(tuple(in_json(part) for part in parts))
        case Alt(options):
            return Alt(tuple(in_json(option) for option in options))
        case Repeat(item):
            return replace(expression, item=in_json(item))
        case _:
            return expression


def lengths(expression: Expression) -> tuple[int, int | None]:
    """Return the shortest and the longest length of its texts, in characters; ``None`` is without end."""
    match expression:
        case Literal(text):
            return len(text), len(text)
        case Chars():
            return 1, 1
        case Seq(parts):
            return _total([lengths(part) for part in parts])
        case Alt(options):
            found = [lengths(option) for option in options] or [(0, 0)]
            bounded = [most for _, most in found if most is not None]
            return min(least for least, _ in found), max(bounded) if len(bounded) == len(found) else None
        case Repeat(item, least, most):
            low, high = lengths(item)
            return low * least, (0 if high == 0 or most == 0 else None) if high is None or most is None else high * most
        case _:
            return 0, None


def between_lengths(expression: Expression, low: int, high: int | None) -> Expression | None:
    """Return texts of it that have ``low`` to ``high`` characters; ``None`` where none are found."""
    least, most = lengths(expression)
    if least >= low and (high is None or (most is not None and most <= high)):
        return expression
    if (high is not None and least > high) or (most is not None and most < low):
        return None
    match expression:
        case Alt(options):
            found = [between_lengths(option, low, high) for option in options]
            fitting = [each for each in found if each is not None]
            return Alt(tuple(fitting)) if fitting else None
        case Repeat(item, fewest, limit):
            size, longest = lengths(item)
            if size != longest or size == 0:
                return None
            fewest = max(fewest, -(-low // size))
            limit = limit if high is None else min(high // size, high if limit is None else limit)
            return None if limit is not None and fewest > limit else Repeat(item, fewest, limit)
        case Seq(parts):
            return _narrowed(parts, low, high)
        case _:
            return None


def _narrowed(parts: tuple[Expression, ...], low: int, high: int | None) -> Expression | None:
    """Narrow a sequence: what its parts may have beyond their shortest is shared out alike; the last one gets what is
    missing.
    """
    sizes = [lengths(part) for part in parts]
    loose = [at for at, (least, most) in enumerate(sizes) if least != most]
    least = sum(size for size, _ in sizes)
    share = None if high is None else (high - least) // len(loose)
    missing = max(0, low - least)
    narrowed = list(parts)
    for at in loose:
        shortest = sizes[at][0]
        wanted = shortest + (missing if at == loose[-1] else 0)
        part = between_lengths(parts[at], wanted, None if share is None else shortest + share)
        if part is None:
            return None
        narrowed[at] = part
    return Seq(tuple(narrowed))


def _total(found: list[tuple[int, int | None]]) -> tuple[int, int | None]:
    bounded = [most for _, most in found if most is not None]
    return sum(least for least, _ in found), sum(bounded) if len(bounded) == len(found) else None


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def branches(self) -> list[tuple[bool, Expression, bool]]:
        """Return the choices at the top, each with whether it is anchored at its begin and its end."""
        found: list[tuple[bool, Expression, bool]] = []
        while True:
            start = self._take("^")
            body = self._sequence()
            found.append((start, body, self._take("$")))
            if not self._take("|"):
                break
        if self._at < len(self._text):
            raise NotRegular(f"{self._text[self._at]!r} at character {self._at + 1}")
        # One pair of anchors around a group is the same as anchors in each of its choices.
        return found

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def _repeated(self, item: Expression) -> Expression:
        while (found := _QUANTIFIER.match(self._text, self._at)) is not None:
            self._at = found.end()
            self._take("?")  # a lazy repetition matches the same texts
            if self._take("+"):
                raise NotRegular("a possessive repetition")
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(found[0], (0, 0))
            if found[1] is not None:
                least = int(found[1])
                most = least if found[2] is None else int(found[3]) if found[3] else None
            if max(least, most or 0) > MOST_REPETITIONS:
                raise NotRegular(f"more than {MOST_REPETITIONS} repetitions")
            if most is None and lengths(item)[0] == 0:
                raise NotRegular("a repetition without end of what may be empty")
            item = Repeat(item, least, most)
        return item

    def _atom(self) -> Expression:
        character = self._text[self._at]
        self._at += 1
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return chars(_LINE_ENDS, inverted=True)
            case "\\":
                ranges, code = self._escape()
                return chars(ranges) if code is None else Literal(chr(code))
            case "^" | "*" | "+" | "?":
                raise NotRegular(f"{character!r} at character {self._at}")
            case _:
                return Literal(character)

    def _group(self) -> Expression:
        if self._take("?") and not self._take(":"):
            named = re.compile(r"P?<[A-Za-z_]\w*>").match(self._text, self._at)
            if named is None:
                raise NotRegular("lookaround, a flag or another group that begins with (?")
            self._at = named.end()
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        if not self._take(")"):
            raise NotRegular("an anchor inside a group" if self._at < len(self._text) else "a group without its end")
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def _class(self) -> Expression:
        inverted = self._take("^")
        ranges: Ranges = []
        outside: list[Ranges] = []
        first = True
        while first or not self._take("]"):
            if self._at >= len(self._text):
                raise NotRegular("a class without its end")
            first = False
            found, low = self._member()
            if low is None:
                ranges += found
                outside.append(self._opposite)
                continue
            high = low
            if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                _, high_code = self._member()
                if high_code is None or high_code < low:
                    raise NotRegular("a class with a broken range")
                high = high_code
            ranges.append((low, high))
            outside.append([*chars([(low, high)], inverted=True).ranges])
        if not inverted:
            return chars(ranges)
        return chars([gap for each in outside for gap in chars(each, inverted=True).ranges], inverted=True)

    def _member(self) -> tuple[Ranges, int | None]:
        character = self._text[self._at]
        self._at += 1
        if character == "\\":
            return self._escape(in_class=True)
        if character == "[" and self._text.startswith(":", self._at):
            raise NotRegular("a named class")
        return [], ord(character)

    def _escape(self, *, in_class: bool = False) -> tuple[Ranges, int | None]:
        """Return the ranges of a class, or the code of one character."""
        if self._at >= len(self._text):
            raise NotRegular("a backslash at the end")
        letter = self._text[self._at]
        self._at += 1
        if letter in _CLASSES:
            self._opposite = _CLASSES[letter.translate(_OPPOSITE)]
            return _CLASSES[letter], None
        if letter in _HEX:
            digits = self._text[self._at : self._at + _HEX[letter]]
            if not re.fullmatch(r"[0-9a-fA-F]{2}|[0-9a-fA-F]{4}", digits) or len(digits) != _HEX[letter]:
                raise NotRegular(f"\\{letter} without its digits")
            self._at += len(digits)
            if SURROGATES[0] <= int(digits, 16) <= SURROGATES[1]:
                raise NotRegular("half of a surrogate pair")
            return [], int(digits, 16)
        if letter in _CONTROL:
            return [], _CONTROL[letter]
        if letter == "b" and in_class:
            return [], 0x08
        if letter.isalnum():
            raise NotRegular(f"\\{letter}")
        return [], min(ord(letter), LAST_CHARACTER)
