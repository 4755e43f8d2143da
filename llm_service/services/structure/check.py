"""Checks a JSON schema before an engine sees it, and JSON texts against it."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import regex
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing.exceptions import Unresolvable

from services.structure.faults import BadSchema, UnsupportedSchema, pointer

LONGEST_SCHEMA = 128 * 1024
DEEPEST = 40
MATCH_TIMEOUT_S = 0.05
_SUBSCHEMAS = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
                         "additionalItems", "unevaluatedItems", "unevaluatedProperties"})  # fmt: skip
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


class CheckedSchema:
    """A schema that is one, whose references lead somewhere. Raises ``BadSchema``."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_SCHEMA:
            raise UnsupportedSchema(f"longer than {LONGEST_SCHEMA} characters")
        try:
            text.encode()
            self.schema: Any = json.loads(text)
        except UnicodeEncodeError as error:
            raise BadSchema("it holds half of a surrogate pair") from error
        except (ValueError, RecursionError) as error:
            raise BadSchema("not JSON") from error
        if not isinstance(self.schema, dict | bool):
            raise BadSchema("a JSON schema is an object")
        for value, path in _values(self.schema):
            if path.count("/") > DEEPEST:
                raise UnsupportedSchema(f"more than {DEEPEST} levels deep", path)
            if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise BadSchema("it holds half of a surrogate pair", path)
        dialect = validator_for(self.schema, default=Draft202012Validator)
        try:
            dialect.check_schema(self.schema)
        except SchemaError as error:
            raise BadSchema(error.message[:300], pointer("", *error.absolute_path)) from error
        self.validator: Validator = _bounded(dialect)(self.schema)
        for schema, path in subschemas(self.schema):
            self._check_words(schema, path)

    def resolve(self, reference: str, path: str) -> Any:
        """Return what a ``$ref`` leads to; raises ``BadSchema``."""
        if not reference.startswith("#"):
            raise UnsupportedSchema("only references inside the schema (#/…) are followed", pointer(path, "$ref"))
        if reference not in ("#", "") and not reference.startswith("#/"):
            raise UnsupportedSchema("references by $anchor are not followed", pointer(path, "$ref"))
        target: Any = self.schema
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            elif isinstance(target, dict) and key in target:
                target = target[key]
            else:
                raise BadSchema(f"{reference[:100]!r} leads nowhere", pointer(path, "$ref"))
        if not isinstance(target, dict | bool):
            raise BadSchema(f"{reference[:100]!r} leads to no schema", pointer(path, "$ref"))
        return target

    def allows(self, value: Any, schema: Any = None) -> bool:
        """Whether a value follows the schema, or a part of it."""
        try:
            return bool((self.validator if schema is None else self.validator.evolve(schema=schema)).is_valid(value))
        except (Unresolvable, RecursionError, regex.error) as error:
            raise UnsupportedSchema("it cannot be followed") from error

    def _check_words(self, schema: dict[str, Any], path: str) -> None:
        if isinstance(reference := schema.get("$ref"), str):
            self.resolve(reference, path)
        if path and "$id" in schema:
            raise UnsupportedSchema("$id below the top", pointer(path, "$id"))
        patterns = [*(schema.get("patternProperties") or ()), *([schema["pattern"]] if "pattern" in schema else [])]
        for pattern in patterns:
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise BadSchema(f"no regular expression: {error}", pointer(path, "pattern")) from error


@lru_cache(maxsize=64)
def checked(text: str) -> CheckedSchema:
    """Return the checked schema of a text; raises ``BadSchema``."""
    return CheckedSchema(text)


def subschemas(schema: Any, path: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Yield a schema and all schemas inside it, with their places."""
    if not isinstance(schema, dict):
        return
    yield schema, path
    for word, value in schema.items():
        if word in _LISTS and isinstance(value, list):
            for at, each in enumerate(value):
                yield from subschemas(each, pointer(path, word, at))
        elif word in _SUBSCHEMAS:
            yield from subschemas(value, pointer(path, word))
        elif word in _MAPS and isinstance(value, dict):
            for name, each in value.items():
                yield from subschemas(each, pointer(path, word, name))


def _values(value: Any) -> Iterator[tuple[Any, str]]:
    """Yield every value and every name inside a value; not by recursion, since it may be deep."""
    waiting = [(value, "")]
    while waiting:
        value, path = waiting.pop()
        yield value, path
        if isinstance(value, dict):
            for name, each in value.items():
                yield name, path
                waiting.append((each, pointer(path, name)))
        elif isinstance(value, list):
            waiting.extend((each, pointer(path, at)) for at, each in enumerate(value))


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Search with a time limit: an expression may take exponential time, and holds up everything meanwhile."""
    if isinstance(instance, str):
        try:
            if not regex.search(pattern, instance, timeout=MATCH_TIMEOUT_S):
                yield ValidationError(f"{instance!r} does not match {pattern!r}")
        except TimeoutError:
            return


@lru_cache(maxsize=8)
def _bounded(dialect: Any) -> Any:
    return extend(dialect, {"pattern": _pattern})
