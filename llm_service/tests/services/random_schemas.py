"""Random JSON schemas, and random texts of a grammar."""

import random
from typing import Any

from services.structure.expressions import Alt, Chars, Expression, Grammar, Literal, Ref, Repeat, Seq

LETTERS = [
    "mañana",
    "ɨ́tsa",
    "ɨ̀hjɨ",
    "tsá̱jpi",
    "méku 😀",
    'a "b"',
    "c\\d",
    "{}",
    "</tool_call>",
    "é\u0301",
    "ñ1f2",
    "\u200d",
    "a/b~c",
]
"""Letters of Spanish and Bora, combining marks, an emoji, and what JSON and the tags of calls are made of."""
PATTERNS = [
    "^[a-z]{1,3}$",
    r"^\d{2}-\d{2}$",
    "^(sí|no)$",
    "x",
    "^[^a-f]{2}$",
    "^a+$",
    r"^\S+@\w{2}$",
    "ab$|^ac",
    r'^[^\d"ñ]$',
]
FORMATS = ["date", "date-time", "time", "uuid", "email", "ipv4", "uri"]


def random_schema(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    """Return a schema of any kind; some are contradictory or cannot be enforced."""
    if depth == 0 or rng.random() < 0.3:
        return _leaf(rng)
    kind = rng.choice(["object", "object", "object", "array", "tuple", "anyOf", "oneOf", "allOf", "map"])
    if kind in ("anyOf", "oneOf", "allOf"):
        return {kind: [random_schema(rng, depth - 1) for _ in range(rng.randint(1, 2))]}
    if kind == "tuple":
        prefix = [random_schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        schema = {"type": "array", "prefixItems": prefix, "items": rng.random() < 0.5}
        return _some(rng, schema, minItems=rng.randint(0, 4))
    if kind == "array":
        bounds = {"minItems": rng.randint(0, 3), "maxItems": rng.randint(1, 5), "uniqueItems": rng.random() < 0.3}
        return _some(rng, {"type": "array", "items": random_schema(rng, depth - 1)}, **bounds)
    if kind == "map":
        bounds = {"minProperties": rng.randint(0, 2), "maxProperties": rng.randint(1, 3)}
        extra = {"propertyNames": {"enum": rng.sample(LETTERS, 3)}, **bounds}
        return _some(rng, {"type": "object", "additionalProperties": random_schema(rng, depth - 1)}, **extra)
    return random_parameters(rng, depth)


def random_parameters(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    """Return a schema of an object, as tools have it."""
    names = rng.sample(LETTERS, rng.randint(0, 4))
    schema = {"type": "object", "properties": {name: random_schema(rng, depth - 1) for name in names}}
    return _some(
        rng,
        schema,
        required=rng.sample(LETTERS if rng.random() < 0.2 else names, min(len(names), rng.randint(0, 3))),
        additionalProperties=rng.random() < 0.3,
        minProperties=rng.randint(0, 2),
        maxProperties=rng.randint(1, 4),
        description="notes change nothing",
    )


def _leaf(rng: random.Random) -> dict[str, Any]:
    low, high = sorted(rng.choice([rng.randint(-50, 50), rng.uniform(-3, 3), 0.5, 1, 100]) for _ in range(2))
    value: Any = rng.choice([*LETTERS, True, None, 3, -0.5, [], {"a": "ñ"}])
    return rng.choice(
        [
            _some(rng, {"type": "string"}, minLength=rng.randint(0, 3), maxLength=rng.choice([2, 5, 80, 200])),
            _some(rng, {"type": "string", "pattern": rng.choice(PATTERNS)}, maxLength=rng.randint(2, 9)),
            {"type": "string", "format": rng.choice(FORMATS)},
            _some(rng, {"type": "integer"}, minimum=low, exclusiveMaximum=high),
            _some(rng, {"type": "number"}, exclusiveMinimum=low, maximum=high),
            {"type": "integer", "minimum": 0, "maximum": 60, "multipleOf": rng.choice([1, 5, 7])},
            {"type": ["boolean", "null"]},
            {"enum": [value, *rng.sample(LETTERS, 2)]},
            {"const": value},
            {},
        ]
    )


def _some(rng: random.Random, schema: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return schema | {word: value for word, value in keywords.items() if rng.random() < 0.4}


def random_text(  # noqa: C901 - a case for each kind of expression
    grammar: Grammar, root: Expression, rng: random.Random, budget: int = 400
) -> str:
    """Return a text of the grammar; past ``budget`` parts the shortest way out is taken."""
    left = [budget]

    def write(node: Expression) -> str:
        left[0] -= 1
        match node:
            case Literal(text):
                return text
            case Chars(ranges):
                low, high = rng.choice(ranges)
                code = rng.randint(low, min(high, low + 50))
                return chr(code) if not 0xD800 <= code <= 0xDFFF else "a"
            case Seq(parts):
                return "".join(write(part) for part in parts)
            case Alt(options):
                return write(rng.choice(options) if left[0] > 0 else min(options, key=_depth))
            case Repeat(item, least, most):
                top = least + 3 if most is None else most
                count = rng.choice([least, min(top, least + 1), top]) if left[0] > 0 else least
                return "".join(write(item) for _ in range(count))
            case Ref(name):
                return write(grammar.rules[name])

    def _depth(node: Expression, within: int = 30) -> int:
        """Return how many rules deep the shortest text is."""
        if within == 0:
            return 1000
        match node:
            case Seq(parts):
                return max((_depth(part, within - 1) for part in parts), default=0)
            case Alt(options):
                return min(_depth(option, within - 1) for option in options)
            case Repeat(item, least, _):
                return _depth(item, within - 1) if least else 0
            case Ref(name):
                return 1 + _depth(grammar.rules[name], within - 1)
            case _:
                return 0

    return write(root)
