"""Parts of every JSON text: separators, lists, and the rules of any value."""

import json
from typing import Any

from services.structure import numbers
from services.structure.expressions import (
    EMPTY,
    Expression,
    Grammar,
    Literal,
    alt,
    chars,
    optional,
    repeat,
    seq,
)

SPACE = optional(Literal(" "))
COMMA, COLON = seq(",", SPACE), seq(":", SPACE)


class CommonRules:
    """Rules of all JSON: ``value``, ``object`` and ``character``, a character inside a string."""

    def __init__(self, grammar: Grammar) -> None:
        plain = chars([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)], inverted=True)
        self.character = grammar.rule(alt(plain, seq("\\", chars([(ord(c), ord(c)) for c in '"\\/bfnrt']))))
        string = grammar.rule(seq('"', repeat(self.character, 0, None), '"'))
        self.value = grammar.reserve()
        entry = grammar.rule(seq(string, COLON, self.value))
        self.object = grammar.rule(seq("{", listed(entry, 0, None), "}"))
        array = seq("[", listed(self.value, 0, None), "]")
        number = grammar.rule(numbers.decimals(None, None))
        grammar.define(self.value, alt(self.object, array, string, number, "true", "false", "null"))


def listed(item: Expression, low: int, high: int | None) -> Expression:
    """Return ``low`` to ``high`` items with commas between."""
    if high == 0:
        return EMPTY
    more = repeat(seq(COMMA, item), max(0, low - 1), None if high is None else high - 1)
    return seq(item, more) if low else optional(seq(item, more))


def text_of(value: Any) -> str:
    """Return a value as it is written: compact, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
