"""Grammar of the JSON texts that follow a schema.

The grammar may allow less than the schema, never more: properties come in the schema's order, an object that names its
properties has no others, white space is at most one space, letters are written as they are, and numbers end.
"""

import json
import math
from fractions import Fraction
from typing import Any

from services.structure import numbers, regular
from services.structure.check import LONGEST_SCHEMA, BadSchema, CheckedSchema, UnsupportedSchema, found, pointer
from services.structure.expressions import (
    EMPTY,
    NEVER,
    Expression,
    Grammar,
    Literal,
    Ref,
    TooLarge,
    alt,
    optional,
    repeat,
    seq,
)
from services.structure.flatten import Plain, alternatives, types_of
from services.structure.json_syntax import COLON, COMMA, CommonRules, listed, text_of

DEEPEST = 40
LONGEST_STRING, LONGEST_LIST = 16_384, 4_096
"""Bounds that a schema sets above these are lowered to them."""
MOST_RULES = 2_000
"""Different schemas that one may contain, after references and combinations are resolved."""
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
"""Formats that are enforced; others are ignored."""
_RULES_OF_NUMBERS = frozenset({"type", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_ANYWHERE = ("not", "if", "$dynamicRef", "$recursiveRef")
_OF_OBJECTS = ("dependentRequired", "dependentSchemas", "dependencies")


class Contradiction(BadSchema):
    """A schema that no value can follow."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(f"contradictory: {message}", path)


class JsonGrammar:
    """Rules for the values of one schema, in a grammar that may have other rules too."""

    def __init__(self, document: CheckedSchema, grammar: Grammar, common: CommonRules) -> None:
        self._document = document
        self._grammar = grammar
        self._common = common
        self._rules: dict[str, Ref | Contradiction] = {}

    def root(self, *, only_objects: bool = False) -> Expression:
        """Return the values of the whole schema. Raises ``BadSchema``."""
        schema = {"allOf": [self._document.schema, {"type": "object"}]} if only_objects else self._document.schema
        root = self._value(schema, "")
        if not self._grammar.can_end(root):
            raise BadSchema("no value of finite length follows it")
        return root

    def _value(self, schema: Any, path: str) -> Expression:
        """Return the values that follow a schema, as a rule that is shared by all places with the same schema."""
        key = json.dumps(schema, ensure_ascii=False)
        if key not in self._rules:
            if (len(key) > LONGEST_SCHEMA // 4 and path) or len(self._rules) > MOST_RULES or path.count("/") > DEEPEST:
                raise TooLarge
            self._rules[key] = reference = self._grammar.reserve()
            try:
                self._grammar.define(reference, self._options(schema, path))
            except Contradiction as error:
                self._rules[key] = error
        found = self._rules[key]
        if isinstance(found, Contradiction):
            raise found
        return found

    def _possible(self, schema: Any, path: str, *, needed: bool) -> Expression:
        """Return the values that follow a schema; ``NEVER`` where it is contradictory and not needed."""
        try:
            return self._value(schema, path)
        except Contradiction:
            if needed:
                raise
            return NEVER

    def _options(self, schema: Any, path: str) -> Expression:
        """Return the values of all alternatives but contradictory ones."""
        options: list[Expression] = []
        fault = Contradiction("nothing can follow it", path)
        for plain in alternatives(self._document, schema, path):
            try:
                options.append(self._plain(plain, path))
            except Contradiction as error:
                fault = error
        if not options:
            raise fault
        return alt(*options)

    def _plain(self, plain: Plain, path: str) -> Expression:
        if "enum" in plain:
            rest = {word: value for word, value in plain.items() if word != "enum"}
            values = [value for value in plain["enum"] if not rest or self._document.allows(value, rest)]
            if not values:
                raise Contradiction("no value of its enum follows the rest", pointer(path, "enum"))
            return alt(*(text_of(value) for value in values))
        if not plain:
            return self._common.value
        self._refuse(plain, path, _ANYWHERE)
        for left in plain.get("allOf", ()):
            self._refuse(left, path, tuple(left))
        kinds = types_of(plain)
        return alt(*(self._of_type(kind, plain | {"type": [kind]}, path) for kind in kinds))

    def _of_type(self, kind: str, plain: Plain, path: str) -> Expression:
        match kind:
            case "object":
                return self._object(plain, path)
            case "array":
                return self._array(plain, path)
            case "string":
                return self._string(plain, path)
            case "integer" | "number":
                return self._number(plain, path)
            case "boolean":
                return alt("true", "false")
            case _:
                return Literal("null")

    def _refuse(self, plain: Plain, path: str, words: tuple[str, ...]) -> None:
        for word in words:
            if word in plain:
                raise UnsupportedSchema(f"{word} cannot be enforced", pointer(path, word))

    def _count(self, plain: Plain, path: str, noun: str, longest: int) -> tuple[int, int | None]:
        """Return ``minItems`` and ``maxItems``, or those of another noun; ``None`` is without end."""
        low, high = int(plain.get(f"min{noun}", 0)), plain.get(f"max{noun}")
        if high is not None and low > high:
            raise Contradiction(f"min{noun} is more than max{noun}", pointer(path, f"min{noun}"))
        if low > longest:
            raise UnsupportedSchema(f"min{noun} above {longest} cannot be enforced", pointer(path, f"min{noun}"))
        return low, None if high is None else min(int(high), longest)

    # --- strings and numbers --------------------------------------------------------------------

    def _string(self, plain: Plain, path: str) -> Expression:
        low, high = self._count(plain, path, "Length", LONGEST_STRING)
        word = "pattern" if "pattern" in plain else "format"
        pattern = plain[word] if word == "pattern" else FORMATS.get(plain.get("format", ""))
        if pattern is None:
            return seq('"', repeat(self._common.character, low, high), '"')
        try:
            body = regular.searched(pattern)
        except regular.NotRegular as error:
            raise UnsupportedSchema(f"this pattern cannot be enforced: {error}", pointer(path, word)) from error
        body = regular.between_lengths(body, low, math.inf if high is None else high)
        if body == NEVER:
            raise UnsupportedSchema(f"{word} with minLength or maxLength cannot be enforced", pointer(path, word))
        return seq('"', regular.in_json(body), '"')

    def _number(self, plain: Plain, path: str) -> Expression:
        low = _bound(plain, "minimum", "exclusiveMinimum", sign=1)
        high = _bound(plain, "maximum", "exclusiveMaximum", sign=-1)
        whole = plain["type"] == ["integer"]
        if "multipleOf" in plain and not (whole and plain["multipleOf"] == 1):
            return self._multiples(low, high, plain, path)
        found = numbers.integers(low, high) if whole else numbers.decimals(low, high)
        if found == NEVER:
            raise Contradiction("no number lies between its bounds", pointer(path, "minimum"))
        return found

    def _multiples(self, low: numbers.Bound | None, high: numbers.Bound | None, plain: Plain, path: str) -> Expression:
        """Return the multiples of ``multipleOf``, when they are few."""
        place, step = pointer(path, "multipleOf"), Fraction(str(plain["multipleOf"]))
        if low is None or high is None or (high.value - low.value) / step > MOST_MULTIPLES:
            raise UnsupportedSchema("multipleOf without close bounds on both sides cannot be enforced", place)
        exact = [step * n for n in range(int(low.value // step) - 1, int(high.value // step) + 2)]
        values = [int(value) if value == int(value) else float(value) for value in exact]
        rules = {word: plain[word] for word in plain.keys() & _RULES_OF_NUMBERS}
        allowed = [value for value in values if self._document.allows(value, rules)]
        if not allowed:
            raise Contradiction("no multiple lies between its bounds", place)
        return alt(*(text_of(value) for value in allowed))

    # --- arrays ---------------------------------------------------------------------------------

    def _array(self, plain: Plain, path: str) -> Expression:
        prefix, rest = plain.get("prefixItems", []), plain.get("items", plain.get("unevaluatedItems") is not False)
        low, high = self._count(plain, path, "Items", LONGEST_LIST)
        if plain.get("uniqueItems") and (high is None or high > 1):
            return self._subset(plain, low, high, path)
        self._refuse(plain, path, ("contains",))
        if isinstance(plain.get("unevaluatedItems"), dict):
            self._refuse(plain, path, ("unevaluatedItems",))
        places = prefix if high is None else prefix[:high]
        items = [
            self._possible(each, pointer(path, "prefixItems", at), needed=at < low) for at, each in enumerate(places)
        ]
        tail: Expression = EMPTY
        if high is None or high > len(items):
            item = self._possible(rest, pointer(path, "items"), needed=low > len(items))
            more = (max(0, low - len(items)), None if high is None else high - len(items))
            tail = repeat(seq(COMMA, item), *more) if items else listed(item, *more)
        for at in range(len(items) - 1, -1, -1):
            part = seq(COMMA if at else EMPTY, items[at], tail)
            tail = part if at < low else optional(self._grammar.rule(part))
        return seq("[", tail, "]")

    def _subset(self, plain: Plain, low: int, high: int | None, path: str) -> Expression:
        """Return the arrays of different values of an enum, in its order."""
        place = pointer(path, "uniqueItems")
        options = alternatives(self._document, plain.get("items", True), pointer(path, "items"))
        if plain.get("prefixItems") or "contains" in plain or not all("enum" in each for each in options or [{}]):
            raise UnsupportedSchema("uniqueItems cannot be enforced, except for items of an enum", place)
        values = list(dict.fromkeys(
            text_of(value) for each in options for value in each["enum"] if self._document.allows(value, each)
        ))  # fmt: skip
        most = len(values) if high is None else min(high, len(values))
        if most < low:
            raise Contradiction("its enum has fewer values than minItems", place)
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
        low, high = self._count(plain, path, "Properties", LONGEST_LIST)
        required = plain.get("required", [])
        names = list(dict.fromkeys([*plain.get("properties", {}), *required]))
        if not names:
            return self._map(plain, low, high, path)
        parts: list[tuple[Expression, bool]] = []
        for name in names:
            place, always = pointer(path, "properties", name), name in required
            value = self._possible(self._property(plain, name), place, needed=always)
            if value != NEVER:
                parts.append((seq(text_of(name), COLON, value), always))
        most = len(parts) if high is None else min(high, len(parts))
        if max(low, sum(always for _, always in parts)) > most:
            raise Contradiction("it needs more properties than it may have", path)
        return seq("{", self._chosen(parts, low, most), "}")

    def _property(self, plain: Plain, name: str) -> Any:
        """Return the schema of a property."""
        if "propertyNames" in plain and not self._document.allows(name, plain["propertyNames"]):
            return False
        schemas = [plain["properties"][name]] if name in plain.get("properties", {}) else []
        for pattern, schema in plain.get("patternProperties", {}).items():
            if found(pattern, name):
                schemas.append(schema)
        if not schemas:
            return plain.get("additionalProperties", True)
        return schemas[0] if len(schemas) == 1 else {"allOf": schemas}

    def _map(self, plain: Plain, low: int, high: int | None, path: str) -> Expression:
        """Return objects whose names are not known."""
        values = plain.get("additionalProperties", plain.get("unevaluatedProperties") is not False)
        names = [{"type": "string"}]
        if len(patterns := plain.get("patternProperties", {})) > 1:
            place = pointer(path, "patternProperties")
            raise UnsupportedSchema("several patternProperties without properties cannot be enforced", place)
        if patterns:
            ((pattern, values),) = patterns.items()
            names.append({"pattern": pattern})
        if low > 1:
            place = pointer(path, "minProperties")
            raise UnsupportedSchema("minProperties above 1 without properties cannot be enforced", place)
        if "propertyNames" in plain:
            names.append(plain["propertyNames"])
        name = self._possible({"allOf": names}, pointer(path, "propertyNames"), needed=low > 0)
        value = self._possible(values, path, needed=low > 0)
        return seq("{", listed(seq(name, COLON, value), low, high), "}")


def _bound(plain: Plain, inclusive: str, exclusive: str, *, sign: int) -> numbers.Bound | None:
    """Return the tighter of two bounds; ``sign`` is 1 for lower ones."""
    bounds = [
        numbers.Bound(Fraction(str(plain[word])), word == exclusive) for word in (inclusive, exclusive) if word in plain
    ]
    return max(bounds, key=lambda bound: (sign * bound.value, bound.open), default=None)
