r"""Regular expressions as expressions of a grammar.

Python's own parser reads them; parts that no grammar can express are refused. A class such as ``\w`` stands for its
ASCII characters, which belong to it in ECMAScript and in Python.
"""

import json
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from services.structure.expressions import (
    EMPTY,
    NEVER,
    SURROGATES,
    Alt,
    Chars,
    Expression,
    Literal,
    Repeat,
    Seq,
    alt,
    chars,
    repeat,
    seq,
    without,
)

Ranges = list[tuple[int, int]]
MOST_REPETITIONS = 4096
_PARSER: Any = re._parser  # noqa: SLF001 - the public module gives no tree
# Characters that belong to a class in both dialects.
_CLASSES: dict[str, Ranges] = {
    "DIGIT": [(0x30, 0x39)],
    "WORD": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "SPACE": [(0x09, 0x0D), (0x20, 0x20)],
    "NOT_DIGIT": [(0x00, 0x2F), (0x3A, 0x65F)],
    "NOT_WORD": [(0x00, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7F)],
    "NOT_SPACE": [*chars([
        (0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
        (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
    ], inverted=True).ranges],
}  # fmt: skip
_LINE_ENDS: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_JSON_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r"}
FREE = Repeat(chars([(0, 0x1F), (0x7F, 0x9F), *_LINE_ENDS], inverted=True), 0, None)
"""Printable characters, for the text around a pattern without anchors."""


class NotRegular(ValueError):
    """An expression with parts that no grammar of this kind can express; the message names them."""


def whole_match(pattern: str) -> Expression:
    """Return the texts that match as a whole. Raises ``NotRegular``."""
    return _search(_parse(pattern), EMPTY, EMPTY)


def searched(pattern: str) -> Expression:
    """Return texts in which the pattern is found, between free text where it is not anchored. Raises ``NotRegular``."""
    return _search(_parse(pattern), FREE, FREE)


def in_json(expression: Expression) -> Expression:
    """Return the expression for the same texts inside a JSON string."""
    match expression:
        case Literal(text):
            return Literal(json.dumps(text, ensure_ascii=False)[1:-1])
        case Chars(ranges):
            # Only control characters with a short escape; a class with others always has more characters.
            escapes = [text for code, text in _JSON_ESCAPES.items() if any(low <= code <= high for low, high in ranges)]
            plain = without(ranges, [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
            return plain if not escapes else alt(*([plain] if plain.ranges else []), *escapes)
        case Seq(parts):
            return Seq(tuple(in_json(part) for part in parts))
        case Alt(options):
            return Alt(tuple(in_json(option) for option in options))
        case Repeat(item):
            return replace(expression, item=in_json(item))
        case _:
            return expression


def lengths(expression: Expression) -> tuple[int, float]:
    """Return the shortest and the longest length of its texts, in characters."""
    match expression:
        case Literal(text):
            return len(text), len(text)
        case Chars():
            return 1, 1
        case Seq(parts):
            found = [lengths(part) for part in parts]
            return sum(least for least, _ in found), sum(most for _, most in found)
        case Alt(options):
            found = [lengths(option) for option in options] or [(0, 0)]
            return min(least for least, _ in found), max(most for _, most in found)
        case Repeat(item, least, limit):
            low, high = lengths(item)
            return low * least, high and high * (math.inf if limit is None else limit)
        case _:
            return 0, math.inf


def between_lengths(expression: Expression, low: int, high: float) -> Expression:
    """Return texts of it that have ``low`` to ``high`` characters; ``NEVER`` where none are found."""
    least, most = lengths(expression)
    if low <= least and most <= high:
        return expression
    if least > high or most < low:
        return NEVER
    match expression:
        case Alt(options):
            return alt(*(between_lengths(option, low, high) for option in options))
        case Repeat(item, fewest, limit):
            size, longest = lengths(item)
            if size != longest or size == 0:
                return NEVER
            fewest = max(fewest, -(-low // size))
            widest = min(math.inf if limit is None else limit, high / size)
            return NEVER if fewest > widest else Repeat(item, fewest, None if widest == math.inf else int(widest))
        case Seq(parts):
            return seq(*_narrowed(parts, low, high))
        case _:
            return NEVER


def _narrowed(parts: tuple[Expression, ...], low: int, high: float) -> Iterator[Expression]:
    """Narrow a sequence: the length beyond the shortest is shared equally among its parts; the last one gets what is
    missing.
    """
    sizes = [lengths(part) for part in parts]
    loose = [at for at, (least, most) in enumerate(sizes) if least != most]
    least = sum(size for size, _ in sizes)
    share = (high - least) / len(loose)
    for at, (part, (shortest, _)) in enumerate(zip(parts, sizes, strict=True)):
        missing = max(0, low - least) if at == loose[-1] else 0
        yield between_lengths(part, shortest + missing, shortest + share) if at in loose else part


def _parse(pattern: str) -> Any:
    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):
            tree = _PARSER.parse(pattern)
    except (re.error, OverflowError, FutureWarning) as error:
        raise NotRegular(str(error)) from error
    if tree.state.flags != re.UNICODE:
        raise NotRegular("a flag")
    return tree


def _search(tree: Any, before: Expression | None = None, after: Expression | None = None) -> Expression:
    """Return the texts of a tree, with others around it where it has no anchor. ``None`` at an end of the tree that is
    no end of the whole: an anchor there is refused.
    """
    items = list(tree)
    if before is not None and items and _is_anchor(items[0], "AT_BEGINNING"):
        items, before = items[1:], EMPTY
    if after is not None and items and _is_anchor(items[-1], "AT_END"):
        items, after = items[:-1], EMPTY
    if items and items[-1][0].name == "BRANCH":
        *shared, (_, (_, options)) = items
        if not shared:
            return alt(*(_search(option, before, after) for option in options))
        items, after = shared, alt(*(_search(option, None, after) for option in options))
    return seq(before or EMPTY, *(_part(operation.name, argument) for operation, argument in items), after or EMPTY)


def _is_anchor(item: Any, where: str) -> bool:
    return (item[0].name, str(item[1])) == ("AT", where)


def _part(operation: str, argument: Any) -> Expression:
    match operation:
        case "LITERAL":
            return Literal(chr(_character(argument)))
        case "NOT_LITERAL":
            return chars([(argument, argument)], inverted=True)
        case "ANY":
            return chars(_LINE_ENDS, inverted=True)
        case "IN":
            return _class(argument)
        case "SUBPATTERN" if not argument[1] and not argument[2]:
            return _search(argument[3])
        case "MAX_REPEAT" | "MIN_REPEAT":  # a lazy repetition matches the same texts
            return _repeated(*argument)
        case "AT":
            raise NotRegular("an anchor inside a group")
        case _:
            raise NotRegular("lookaround, a back reference, a flag or a possessive repetition")


def _repeated(least: int, most: Any, tree: Any) -> Expression:
    limit = None if most == _PARSER.MAXREPEAT else int(most)
    if max(least, limit or 0) > MOST_REPETITIONS:
        raise NotRegular(f"more than {MOST_REPETITIONS} repetitions")
    item = _search(tree)
    if limit is None and lengths(item)[0] == 0:
        raise NotRegular("an unbounded repetition of an expression that can be empty")
    return repeat(item, least, limit)


def _class(members: Any) -> Expression:
    """Return the characters of a set; of an inverted one, those that are outside in both dialects."""
    inverted = members[0][0].name == "NEGATE"
    found = Ranges()
    for operation, argument in members[inverted:]:
        match operation.name:
            case "CATEGORY":
                name = argument.name.removeprefix("CATEGORY_")
                opposite = name.removeprefix("NOT_") if name.startswith("NOT_") else f"NOT_{name}"
                found += chars(_CLASSES[opposite], inverted=True).ranges if inverted else _CLASSES[name]
            case "RANGE":
                found.append(argument)
            case _:
                found.append((argument, argument))
    allowed = chars(found, inverted=inverted)
    return allowed if allowed.ranges else NEVER


def _character(code: int) -> int:
    if SURROGATES[0] <= code <= SURROGATES[1]:
        raise NotRegular("an unpaired surrogate")
    return code
