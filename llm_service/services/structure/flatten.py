"""Schemas as lists of alternatives without references, of which a value must follow one.

``$ref``, ``allOf``, ``anyOf`` and ``oneOf`` are resolved; keywords that cannot be merged stay in ``allOf``.
"""

import json
from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any

from services.structure.check import CheckedSchema, UnsupportedSchema, check_pattern, check_time, found, pointer

MOST_ALTERNATIVES = 128
Plain = dict[str, Any]
_COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "const", "definitions", "$defs"})
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema",
                    "$comment", "$id", "discriminator", "contentEncoding", "contentMediaType", "then", "else",
                    })  # fmt: skip
_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
               "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
TYPES = (*_OF_TYPE, "boolean", "null")


def alternatives(document: CheckedSchema, schema: Any, path: str, seen: frozenset[str] = frozenset()) -> list[Plain]:
    """Return the plain schemas of which a value must follow one. Raises ``BadSchema``."""
    check_time()
    if isinstance(schema, bool):
        return [{}] if schema else []
    if path and "$id" in schema:
        raise UnsupportedSchema("$id below the top", pointer(path, "$id"))
    for word in ("pattern", "patternProperties"):
        for pattern in [schema[word]] if isinstance(schema.get(word), str) else schema.get(word, ()):
            check_pattern(pattern, pointer(path, word))
    parts: list[list[Plain]] = [[_plain(schema)]]
    if isinstance(reference := schema.get("$ref"), str):
        target = False if reference in seen else document.resolve(reference, path)
        parts.append(alternatives(document, target, path, seen | {reference}))
    parts += [alternatives(document, each, path, seen) for each in schema.get("allOf", ())]
    if "anyOf" in schema:
        parts.append([one for each in schema["anyOf"] for one in alternatives(document, each, path, seen)])
    if "oneOf" in schema:
        branches = [alternatives(document, each, path, seen) for each in schema["oneOf"]]
        pairs = [
            pair for at, branch in enumerate(branches) for other in branches[:at] for pair in product(branch, other)
        ]
        if not all(disjoint(document, one, other, path) for one, other in pairs):
            raise UnsupportedSchema("oneOf whose choices may overlap; anyOf is possible", pointer(path, "oneOf"))
        parts.append([one for branch in branches for one in branch])
    return reduce(_both, parts)


def types_of(plain: Plain) -> tuple[str, ...]:
    """Return the types of the values that are written for a plain schema: those that its keywords are about, where it
    names none.
    """
    if "type" in plain:
        return tuple(plain["type"])
    return tuple(kind for kind, words in _OF_TYPE.items() if any(word in plain for word in words)) or TYPES


def disjoint(document: CheckedSchema, one: Plain, other: Plain, path: str, depth: int = 3) -> bool:
    """Whether it is certain that no value written for one of two plain schemas follows the other."""
    for plain in (one, other):
        if "enum" in plain:
            return not any(document.allows(value, one) and document.allows(value, other) for value in plain["enum"])
    allowed = [_with_integers(plain.get("type", TYPES)) for plain in (one, other)]
    written = [_with_integers(types_of(plain)) for plain in (one, other)]
    if not (written[0] & allowed[1] or written[1] & allowed[0]):
        return True
    if written != [{"object"}, {"object"}] or depth == 0:
        return False
    return _objects_differ(document, one, other, path, depth) and _objects_differ(document, other, one, path, depth)


def _with_integers(kinds: Any) -> set[str]:
    return {"number" if kind == "integer" else kind for kind in kinds}


def _objects_differ(document: CheckedSchema, written: Plain, other: Plain, path: str, depth: int) -> bool:
    """Whether no object that is written for one schema follows another."""
    properties, others = written.get("properties", {}), other.get("properties", {})
    if properties and any(name not in properties for name in other.get("required", ())):
        return True
    always = [name for name in written.get("required", ()) if name in properties]
    closed = other.get("additionalProperties", True) is False and "patternProperties" not in other
    if closed and any(name not in others for name in always):
        return True
    return any(
        all(
            disjoint(document, a, b, path, depth - 1)
            for a in alternatives(document, properties[name], path)
            for b in alternatives(document, others[name], path)
        )
        for name in always
        if name in others
    )


def _plain(schema: dict[str, Any]) -> Plain:
    plain = {word: value for word, value in schema.items() if word not in _COMBINED and word not in _NOTES}
    if "const" in schema:
        plain["enum"] = _shared_values([schema["const"]], plain["enum"]) if "enum" in plain else [schema["const"]]
    if isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"]]
    if isinstance(plain.get("items"), list):  # of drafts before 2020-12
        plain["prefixItems"] = plain.pop("items")
        if "additionalItems" in plain:
            plain["items"] = plain.pop("additionalItems")
    return plain


def _both(some: list[Plain], others: list[Plain]) -> list[Plain]:
    if len(some) * len(others) > MOST_ALTERNATIVES:
        raise UnsupportedSchema(f"more than {MOST_ALTERNATIVES} combinations of its choices")
    merged = (_merge(a, b) for a, b in product(some, others))
    return [plain for plain in merged if plain.get("type") != []]


def _merge(one: Plain, other: Plain) -> Plain:
    """Return the plain schema that follows both."""
    if not one or not other:
        return one or other
    left: list[Plain] = [*one.get("allOf", ()), *other.get("allOf", ())]
    merged = {**one, **other}
    if "properties" in merged:
        names = {**one.get("properties", {}), **other.get("properties", {})}
        merged["properties"] = {name: _meet(_property(one, name), _property(other, name)) for name in names}
    for word in one.keys() & other.keys() - {"properties", "allOf"}:
        if (merge := _MERGES.get(word)) is not None:
            merged[word] = merge(one[word], other[word])
        elif one[word] != other[word]:
            left.append({word: one[word]})
    for plain, another in ((one, other), (other, one)):
        if "prefixItems" in plain and "prefixItems" not in another and "items" in another:
            left.append({"prefixItems": plain["prefixItems"]})  # they would also be items of the other
    return {**merged, "allOf": left} if left else merged


def _property(plain: Plain, name: str) -> Any:
    if name in plain.get("properties", {}):
        return plain["properties"][name]
    if any(found(pattern, name) for pattern in plain.get("patternProperties", ())):
        return True  # where the object is written, patterns are applied to every property
    return plain.get("additionalProperties", True)


def _meet(one: Any, other: Any) -> Any:
    if one is True or one == other:
        return other
    if other is True:
        return one
    return False if one is False or other is False else {"allOf": [one, other]}


def _kinds(one: list[str], other: list[str]) -> list[str]:
    both, numbers = [kind for kind in one if kind in other], {"number", "integer"}
    if not numbers & set(both) and numbers & set(one) and numbers & set(other):
        both.append("integer")
    return both


def _shared_values(one: list[Any], other: list[Any]) -> list[Any]:
    """Return the values of both lists; as texts, since ``true`` is not 1."""
    texts = {json.dumps(value, sort_keys=True) for value in other}
    return [value for value in one if json.dumps(value, sort_keys=True) in texts]


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "type": _kinds,
    "enum": _shared_values,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "items": _meet,
    "additionalProperties": _meet,
    "propertyNames": _meet,
    "patternProperties": lambda one, other: {**one, **{p: _meet(one.get(p, True), s) for p, s in other.items()}},
    "uniqueItems": lambda one, other: one or other,
    "format": lambda one, _: one,
}
