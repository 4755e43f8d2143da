"""The JSON texts that follow a schema, as a grammar.

The grammar may allow less than the schema, never more: properties come in the schema's order, an object that names its
properties has no others, white space is at most one space, letters are written as they are, and numbers end.
"""

import json
from decimal import Decimal
from typing import Any

from services.structure import numbers, regular
from services.structure.check import DEEPEST, LONGEST_SCHEMA, CheckedSchema
from services.structure.expressions import (
    EMPTY,
    NEVER,
    Expression,
    Grammar,
    Literal,
    Ref,
    Repeat,
    TooLarge,
    alt,
    chars,
    optional,
    seq,
)
from services.structure.faults import BadSchema, UnsupportedSchema, pointer
from services.structure.flatten import Plain, alternatives, types_of

LONGEST_STRING, LONGEST_LIST = 16_384, 4_096
"""Bounds that a schema sets above these are lowered to them."""
MOST_RULES = 2_000
"""Different schemas that one may hold, after references and combinations are worked in."""
MOST_SUBSETS = 64
MOST_MULTIPLES = 256
_DATE = r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(Z|[+-](0\d|1[0-4]):[03]0)"
FORMATS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "ipv4": r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$",
    "email": r"^[A-Za-z0-9_+-]{1,64}(\.[A-Za-z0-9_+-]{1,32}){0,3}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{2,24}){1,3}$",
}
"""Formats whose texts are written as they say; others are notes to people."""
_ANYWHERE = ("not", "if", "$dynamicRef", "$recursiveRef")
_OF_OBJECTS = ("dependentRequired", "dependentSchemas", "dependencies")
SPACE = optional(Literal(" "))
COMMA, COLON = seq(",", SPACE), seq(":", SPACE)


class JsonGrammar:
    """Rules for the values of one schema, in a grammar that may hold more."""

    def __init__(self, document: CheckedSchema, grammar: Grammar, common: "CommonRules") -> None:
        self._document = document
        self._grammar = grammar
        self._common = common
        self._rules: dict[str, Ref] = {}
        self._dead_ends: list[BadSchema] = []

    def root(self, *, only_objects: bool = False) -> Expression:
        """Return the values of the whole schema. Raises ``BadSchema``."""
        schema = {"allOf": [self._document.schema, {"type": "object"}]} if only_objects else self._document.schema
        root = self._value(schema, "")
        if not self._grammar.matches_something(root):
            raise self._dead_ends[0] if self._dead_ends else BadSchema("no value of finite length follows it")
        return root

    def _value(self, schema: Any, path: str) -> Expression:
        """Return the values that follow a schema, as a rule that is shared by all places with the same schema."""
        key = json.dumps(schema, ensure_ascii=False)
        if key not in self._rules:
            if (len(key) > LONGEST_SCHEMA // 4 and path) or len(self._rules) > MOST_RULES or path.count("/") > DEEPEST:
                raise TooLarge
            self._rules[key] = reference = self._grammar.reserve()
            options = alternatives(self._document, schema, path)
            if not options:
                self._dead_end("nothing can follow it", path)
            self._grammar.define(reference, alt(*(self._plain(plain, path) for plain in options)))
        return self._rules[key]

    def _dead_end(self, message: str, path: str) -> Expression:
        self._dead_ends.append(BadSchema(f"contradictory: {message}", path))
        return NEVER

    def _plain(self, plain: Plain, path: str) -> Expression:
        if "enum" in plain:
            alone = plain.keys() == {"enum"}
            values = [value for value in plain["enum"] if alone or self._document.allows(value, plain)]
            if not values:
                return self._dead_end("no value of its enum follows the rest", pointer(path, "enum"))
            return alt(*(_text(value) for value in values))
        if not plain:
            return self._common.value
        self._refuse(plain, path, _ANYWHERE)
        for left in plain.get("allOf", ()):
            self._refuse(left, path, tuple(left))
        writers = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }
        options: list[Expression] = []
        for kind in types_of(plain):
            if kind == "null":
                options.append(Literal("null"))
            elif kind == "boolean":
                options.append(alt("true", "false"))
            else:
                options.append(writers[kind](plain | {"type": [kind]}, path))
        return alt(*options)

    def _refuse(self, plain: Plain, path: str, words: tuple[str, ...]) -> None:
        for word in words:
            if word in plain and plain[word] not in (True, {}):
                raise UnsupportedSchema(f"{word} cannot be enforced", pointer(path, word))

    # --- strings and numbers --------------------------------------------------------------------

    def _string(self, plain: Plain, path: str) -> Expression:
        low, high = int(plain.get("minLength", 0)), plain.get("maxLength")
        if high is not None and low > high:
            return self._dead_end("minLength is more than maxLength", pointer(path, "minLength"))
        if low > LONGEST_STRING:
            raise UnsupportedSchema(f"minLength above {LONGEST_STRING} cannot be enforced", pointer(path, "minLength"))
        high = None if high is None else min(int(high), LONGEST_STRING)
        pattern = plain.get("pattern", FORMATS.get(plain.get("format", "")))
        if pattern is None:
            return seq('"', Repeat(self._common.character, low, high), '"')
        word = "pattern" if "pattern" in plain else "format"
        try:
            body, _ = regular.searched(pattern, regular.ANY)
        except regular.NotRegular as error:
            raise UnsupportedSchema(f"this pattern cannot be enforced: {error}", pointer(path, word)) from error
        narrowed = regular.between_lengths(body, low, high)
        if narrowed is None:
            raise UnsupportedSchema(f"{word} with minLength or maxLength cannot be enforced", pointer(path, word))
        return seq('"', regular.in_json(narrowed), '"')

    def _number(self, plain: Plain, path: str) -> Expression:
        low = _bound(plain, "minimum", "exclusiveMinimum", sign=1)
        high = _bound(plain, "maximum", "exclusiveMaximum", sign=-1)
        step = plain.get("multipleOf")
        whole = plain["type"] == ["integer"]
        if step is not None and not (whole and step == 1):
            return self._multiples(low, high, step, path, whole=whole)
        found = numbers.integers(low, high) if whole else numbers.decimals(low, high)
        if not self._grammar.matches_something(found):
            return self._dead_end("no number lies between its bounds", pointer(path, "minimum"))
        return found

    def _multiples(
        self, low: numbers.Bound | None, high: numbers.Bound | None, step: Any, path: str, *, whole: bool
    ) -> Expression:
        """Return the multiples of ``step``, when they are few."""
        place = pointer(path, "multipleOf")
        if low is None or high is None or (high.value - low.value) / Decimal(str(step)) > MOST_MULTIPLES:
            raise UnsupportedSchema("multipleOf without close bounds on both sides cannot be enforced", place)
        first = int(low.value // Decimal(str(step))) - 1
        exact = [Decimal(str(step)) * n for n in range(first, first + MOST_MULTIPLES + 4)]
        values = [int(value) if value == int(value) else float(value) for value in exact]
        rules = {"type": "integer" if whole else "number", "multipleOf": step}
        values = [
            value
            for value, number in zip(values, exact, strict=True)
            if (number > low.value or (number == low.value and not low.open))
            and (number < high.value or (number == high.value and not high.open))
            and self._document.allows(value, rules)
        ]
        if not values:
            return self._dead_end("no multiple lies between its bounds", place)
        return alt(*(_text(value) for value in values))

    # --- arrays ---------------------------------------------------------------------------------

    def _array(self, plain: Plain, path: str) -> Expression:
        prefix, rest = plain.get("prefixItems", []), plain.get("items", plain.get("unevaluatedItems") is not False)
        low, high = int(plain.get("minItems", 0)), plain.get("maxItems")
        if high is not None and low > high:
            return self._dead_end("minItems is more than maxItems", pointer(path, "minItems"))
        if low > LONGEST_LIST:
            raise UnsupportedSchema(f"minItems above {LONGEST_LIST} cannot be enforced", pointer(path, "minItems"))
        high = None if high is None else min(int(high), LONGEST_LIST)
        if plain.get("uniqueItems") and (high is None or high > 1):
            return self._subset(plain, low, high, path)
        self._refuse(plain, path, ("contains",))
        if isinstance(plain.get("unevaluatedItems"), dict):
            self._refuse(plain, path, ("unevaluatedItems",))
        if rest is False:
            high = len(prefix) if high is None else min(high, len(prefix))
            if low > high:
                return self._dead_end("it has fewer items than minItems", pointer(path, "minItems"))
        places = prefix if high is None else prefix[:high]
        items = [self._value(each, pointer(path, "prefixItems", at)) for at, each in enumerate(places)]
        tail: Expression = EMPTY
        if high is None or high > len(items):
            item = self._value(rest, pointer(path, "items"))
            more = (max(0, low - len(items)), None if high is None else high - len(items))
            tail = Repeat(seq(COMMA, item), *more) if items else _list(item, *more)
        for at in range(len(items) - 1, -1, -1):
            part = seq(COMMA if at else EMPTY, items[at], tail)
            tail = part if at < low else optional(self._grammar.rule(part))
        return seq("[", tail, "]")

    def _subset(self, plain: Plain, low: int, high: int | None, path: str) -> Expression:
        """Return the arrays of different values of an enum, in its order."""
        place = pointer(path, "uniqueItems")
        options = alternatives(self._document, plain.get("items", True), pointer(path, "items"))
        if (
            plain.get("prefixItems")
            or "contains" in plain
            or not options
            or any("enum" not in each for each in options)
        ):
            raise UnsupportedSchema("uniqueItems cannot be enforced, except for items of an enum", place)
        values = list(dict.fromkeys(
            _text(value) for each in options for value in each["enum"] if self._document.allows(value, each)
        ))  # fmt: skip
        most = len(values) if high is None else min(high, len(values))
        if most < low:
            return self._dead_end("its enum has fewer values than minItems", place)
        if len(values) > MOST_SUBSETS:
            raise UnsupportedSchema(f"uniqueItems with more than {MOST_SUBSETS} values cannot be enforced", place)
        return seq("[", self._chosen([(Literal(value), False) for value in values], low, most), "]")

    def _chosen(self, parts: list[tuple[Expression, bool]], low: int, high: int) -> Expression:
        """Return ``low`` to ``high`` of these parts, in order, with commas between; those marked are always there."""
        # after[n]: what may follow when n parts are written; numbers from the last one on are alike.
        limited = high < len(parts)
        cap = high + 1 if limited else max(1, low)
        after: list[Expression] = [EMPTY if n >= low and not (limited and n > high) else NEVER for n in range(cap + 1)]
        for part, always in reversed(parts):
            before: list[Expression] = []
            for n in range(cap + 1):
                written = seq(COMMA if n else EMPTY, part, after[min(n + 1, cap)])
                before.append(written if always else self._grammar.rule(alt(written, after[n])))
            after = before
        return after[0]

    # --- objects --------------------------------------------------------------------------------

    def _object(self, plain: Plain, path: str) -> Expression:
        self._refuse(plain, path, _OF_OBJECTS)
        if isinstance(plain.get("unevaluatedProperties"), dict):
            self._refuse(plain, path, ("unevaluatedProperties",))
        low, high = int(plain.get("minProperties", 0)), plain.get("maxProperties")
        required = plain.get("required", [])
        names = list(dict.fromkeys([*plain.get("properties", {}), *required]))
        if not names:
            return self._map(plain, low, high, path)
        parts: list[tuple[Expression, bool]] = []
        for name in names:
            schema = self._property(plain, name)
            if "propertyNames" in plain and not self._document.allows(name, plain["propertyNames"]):
                schema = False
            place = pointer(path, "properties", name)
            if schema is False:
                if name in required:
                    return self._dead_end("this property is required and forbidden", place)
                continue
            parts.append((seq(_text(name), COLON, self._value(schema, place)), name in required))
        most = len(parts) if high is None else min(int(high), len(parts))
        if max(low, sum(always for _, always in parts)) > most:
            return self._dead_end("it needs more properties than it may have", path)
        return seq("{", self._chosen(parts, low, most), "}")

    def _property(self, plain: Plain, name: str) -> Any:
        """Return the schema of a property."""
        found = [plain["properties"][name]] if name in plain.get("properties", {}) else []
        for pattern, schema in plain.get("patternProperties", {}).items():
            if self._document.allows(name, {"pattern": pattern}):
                found.append(schema)
        if not found:
            return plain.get("additionalProperties", True)
        if False in found:
            return False
        return found[0] if len(found) == 1 else {"allOf": found}

    def _map(self, plain: Plain, low: int, high: int | None, path: str) -> Expression:
        """Return objects whose names are not known."""
        values = plain.get("additionalProperties", plain.get("unevaluatedProperties") is not False)
        key: dict[str, Any] = {"type": "string"}
        if patterns := plain.get("patternProperties"):
            if len(patterns) > 1:
                raise UnsupportedSchema("several patternProperties without properties cannot be enforced",
                                        pointer(path, "patternProperties"))  # fmt: skip
            ((key["pattern"], values),) = patterns.items()
        if low > 1:
            raise UnsupportedSchema("minProperties above 1 without properties cannot be enforced",
                                    pointer(path, "minProperties"))  # fmt: skip
        if high is not None and low > high:
            return self._dead_end("minProperties is more than maxProperties", pointer(path, "minProperties"))
        if values is False or high == 0:
            return Literal("{}") if low == 0 else self._dead_end("it may have no property", path)
        names = key if "propertyNames" not in plain else {"allOf": [key, plain["propertyNames"]]}
        entry = seq(self._value(names, pointer(path, "propertyNames")), COLON, self._value(values, path))
        return seq("{", _list(entry, low, None if high is None else min(int(high), LONGEST_LIST)), "}")


class CommonRules:
    """Rules of all JSON: ``value``, ``object`` and ``character``, a character inside a string."""

    def __init__(self, grammar: Grammar) -> None:
        plain = chars([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)], inverted=True)
        self.character = grammar.rule(alt(plain, seq("\\", chars([(ord(c), ord(c)) for c in '"\\/bfnrt']))))
        string = grammar.rule(seq('"', Repeat(self.character, 0, None), '"'))
        self.value = grammar.reserve()
        entry = grammar.rule(seq(string, COLON, self.value))
        self.object = grammar.rule(seq("{", _list(entry, 0, None), "}"))
        array = seq("[", _list(self.value, 0, None), "]")
        number = grammar.rule(numbers.decimals(None, None))
        grammar.define(self.value, alt(self.object, array, string, number, "true", "false", "null"))


def _list(item: Expression, low: int, high: int | None) -> Expression:
    """Return ``low`` to ``high`` items with commas between."""
    if high == 0:
        return EMPTY
    more = Repeat(seq(COMMA, item), max(0, low - 1), None if high is None else high - 1)
    return seq(item, more) if low else optional(seq(item, more))


def _bound(plain: Plain, inclusive: str, exclusive: str, *, sign: int) -> numbers.Bound | None:
    """Return the tighter of two bounds; ``sign`` is 1 for lower ones."""
    bounds = [
        numbers.Bound(Decimal(str(plain[word])), word == exclusive) for word in (inclusive, exclusive) if word in plain
    ]
    return max(bounds, key=lambda bound: (sign * bound.value, bound.open), default=None)


def _text(value: Any) -> str:
    """Return a value as it is written: compact, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
