"""A schema as alternatives without references and combinations.

``$ref``, ``allOf``, ``anyOf`` and ``oneOf`` are worked into plain schemas, of which a value must follow one. What
cannot be merged into one keyword is kept in ``allOf`` of the plain schema.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import regex

from services.structure.check import MATCH_TIMEOUT_S, CheckedSchema
from services.structure.faults import UnsupportedSchema, pointer

MOST_ALTERNATIVES = 128
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
Plain = dict[str, Any]
_COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "const", "definitions", "$defs"})
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema",
                    "$comment", "$id", "discriminator", "contentEncoding", "contentMediaType"})  # fmt: skip
_LARGEST = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_SMALLEST = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
               "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip


def alternatives(document: CheckedSchema, schema: Any, path: str, seen: frozenset[str] = frozenset()) -> list[Plain]:
    """Return the plain schemas of which a value must follow one. Raises ``BadSchema``."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    found: list[Plain] = [_plain(schema)]
    if isinstance(reference := schema.get("$ref"), str):
        if reference in seen:
            return []
        target = document.resolve(reference, path)
        found = _both(found, alternatives(document, target, path, seen | {reference}))
    for each in schema.get("allOf", ()):
        found = _both(found, alternatives(document, each, path, seen))
    if "anyOf" in schema:
        found = _both(found, [one for each in schema["anyOf"] for one in alternatives(document, each, path, seen)])
    if "oneOf" in schema:
        branches = [alternatives(document, each, path, seen) for each in schema["oneOf"]]
        for at, branch in enumerate(branches):
            for other in branches[:at]:
                if not all(disjoint(document, a, b, path) for a, b in product(branch, other)):
                    raise UnsupportedSchema(
                        "oneOf whose choices may overlap; anyOf is possible", pointer(path, "oneOf")
                    )
        found = _both(found, [one for branch in branches for one in branch])
    return found


def types_of(plain: Plain) -> tuple[str, ...]:
    """Return the types of the values that are written for a plain schema: those that its keywords are about, where it
    names none.
    """
    if "type" in plain:
        return tuple(plain["type"])
    hinted = tuple(kind for kind, words in _OF_TYPE.items() if any(word in plain for word in words))
    return hinted or tuple(kind for kind in TYPES if kind != "integer")


def disjoint(document: CheckedSchema, one: Plain, other: Plain, path: str, depth: int = 3) -> bool:
    """Whether it is certain that no value written for one of two plain schemas follows the other."""
    for a, b in ((one, other), (other, one)):
        if "enum" in a and not any(document.allows(value, a) and document.allows(value, b) for value in a["enum"]):
            return True
    kinds = [set(plain.get("type", TYPES)) for plain in (one, other)]
    written = [set(types_of(plain)) for plain in (one, other)]
    if not (_kinds_overlap(written[0], kinds[1]) or _kinds_overlap(written[1], kinds[0])):
        return True
    if written[0] != {"object"} or written[1] != {"object"} or depth == 0:
        return False
    return _objects_differ(document, one, other, path, depth) and _objects_differ(document, other, one, path, depth)


def _kinds_overlap(written: set[str], allowed: set[str]) -> bool:
    return bool(written & allowed) or bool({"number", "integer"} & written and {"number", "integer"} & allowed)


def _objects_differ(document: CheckedSchema, written: Plain, other: Plain, path: str, depth: int) -> bool:
    """Whether no object that is written for one schema follows another."""
    properties, others = written.get("properties", {}), other.get("properties", {})
    if properties and any(name not in properties for name in other.get("required", ())):
        return True
    for name in written.get("required", ()):
        if name not in properties:
            continue
        if name not in others:
            if other.get("additionalProperties", True) is False:
                return True
            continue
        pairs = product(alternatives(document, properties[name], path), alternatives(document, others[name], path))
        if all(disjoint(document, a, b, path, depth - 1) for a, b in pairs):
            return True
    return False


def _plain(schema: dict[str, Any]) -> Plain:
    plain = {word: value for word, value in schema.items() if word not in _COMBINED and word not in _NOTES}
    if "const" in schema:
        values = [schema["const"]]
        plain["enum"] = [v for v in plain["enum"] if _same(v, values[0])] if "enum" in plain else values
    if isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"]]
    if isinstance(plain.get("items"), list):  # of drafts before 2020-12
        plain["prefixItems"] = plain.pop("items")
        if "additionalItems" in plain:
            plain["items"] = plain.pop("additionalItems")
    if "if" in plain and "then" not in plain and "else" not in plain:
        del plain["if"]
    if "if" not in plain:
        plain.pop("then", None)
        plain.pop("else", None)
    return plain


def _both(some: list[Plain], others: list[Plain]) -> list[Plain]:
    if len(some) * len(others) > MOST_ALTERNATIVES:
        raise UnsupportedSchema(f"more than {MOST_ALTERNATIVES} combinations of its choices")
    merged = (_merge(a, b) for a, b in product(some, others))
    return [plain for plain in merged if plain is not None]


def _merge(one: Plain, other: Plain) -> Plain | None:
    """Return the plain schema that follows both; ``None`` where no value can."""
    if not one or not other:
        return one or other
    merged: Plain = {}
    if "properties" in one or "properties" in other:
        merged["properties"] = _properties(one, other)
    if "prefixItems" in one or "prefixItems" in other:
        merged["prefixItems"] = _prefix(one, other)
    left: list[Plain] = [*one.get("allOf", ()), *other.get("allOf", ())]
    for word in [*one, *(word for word in other if word not in one)]:
        if word in merged or word == "allOf":
            continue
        if word not in one or word not in other:
            merged[word] = one.get(word, other.get(word))
        elif (merge := _MERGES.get(word)) is not None:
            merged[word] = merge(one[word], other[word])
        elif one[word] == other[word]:
            merged[word] = one[word]
        else:
            merged[word] = one[word]
            left.append({word: other[word]})
    if left:
        merged["allOf"] = left
    return None if merged.get("type") == [] else merged


def _properties(one: Plain, other: Plain) -> dict[str, Any]:
    names = [
        *one.get("properties", {}),
        *(name for name in other.get("properties", {}) if name not in one.get("properties", {})),
    ]
    return {name: _meet(_property(one, name), _property(other, name)) for name in names}


def _property(plain: Plain, name: str) -> Any:
    if name in plain.get("properties", {}):
        return plain["properties"][name]
    if any(regex.search(pattern, name, timeout=MATCH_TIMEOUT_S) for pattern in plain.get("patternProperties", ())):
        return True  # where the object is written, patterns are applied to every property
    return plain.get("additionalProperties", True)


def _prefix(one: Plain, other: Plain) -> list[Any]:
    lists = [plain.get("prefixItems", []) for plain in (one, other)]
    rests = [plain.get("items", True) for plain in (one, other)]
    length = max(len(each) for each in lists)
    return [
        _meet(*(each[at] if at < len(each) else rest for each, rest in zip(lists, rests, strict=True)))
        for at in range(length)
    ]


def _meet(one: Any, other: Any) -> Any:
    if one is True or one == other:
        return other
    if other is True:
        return one
    return False if one is False or other is False else {"allOf": [one, other]}


def _kinds(one: list[str], other: list[str]) -> list[str]:
    def narrowed(kind: str, among: list[str]) -> str | None:
        if kind in among:
            return kind
        return "integer" if kind in ("number", "integer") and {"number", "integer"} & set(among) else None

    return list(dict.fromkeys(found for kind in one if (found := narrowed(kind, other)) is not None))


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; ``true`` is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other)


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_LARGEST, max),
    **dict.fromkeys(_SMALLEST, min),
    "type": _kinds,
    "enum": lambda one, other: [value for value in one if any(_same(value, each) for each in other)],
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "items": _meet,
    "additionalProperties": _meet,
    "propertyNames": _meet,
    "patternProperties": lambda one, other: {**one, **{p: _meet(one.get(p, True), s) for p, s in other.items()}},
    "uniqueItems": lambda one, other: one or other,
    "format": lambda one, _: one,
}
