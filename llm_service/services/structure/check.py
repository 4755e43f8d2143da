"""Checks a JSON schema before an engine sees it, and JSON texts against it."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import regex
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry, Resource
from referencing.exceptions import PointerToNowhere, Unresolvable

LONGEST_SCHEMA = 128 * 1024
MATCH_TIMEOUT_S = 0.05
MOST_SECONDS = 2.0
"""CPU time for one schema, or for one answer against it. Short schemas can take exponential time, in their patterns or
in references that are followed again and again, and the service answers nobody else meanwhile.
"""
MOST_UNIQUE = 1024
"""Items of a list that are compared with one another."""
_time_limit: ContextVar[float] = ContextVar("time_limit", default=math.inf)


class BadSchema(ValueError):
    """A malformed or contradictory schema. ``path`` is a JSON pointer into it: ``/properties/age``."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnsupportedSchema(BadSchema):
    """A legal schema with a keyword that cannot be enforced."""


@contextmanager
def limited_time() -> Iterator[None]:
    """Let the checks inside the block raise ``UnsupportedSchema`` once they have taken ``MOST_SECONDS``."""
    before = _time_limit.set(time.thread_time() + MOST_SECONDS)
    try:
        yield
    finally:
        _time_limit.reset(before)


def check_time() -> None:
    """Raise ``UnsupportedSchema`` when the time of ``limited_time`` is over."""
    if time.thread_time() > _time_limit.get():
        raise UnsupportedSchema(f"checking it takes more than {MOST_SECONDS:g} s")


def pointer(path: str, *parts: object) -> str:
    """Return the JSON pointer of a place below ``path``."""
    return path + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


class CheckedSchema:
    """A valid schema; any other raises ``BadSchema``."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_SCHEMA:
            raise UnsupportedSchema(f"longer than {LONGEST_SCHEMA} characters")
        try:
            self.schema: Any = json.loads(text)
            json.dumps(self.schema, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError as error:
            raise BadSchema("it contains an unpaired surrogate") from error
        except ValueError as error:
            raise BadSchema("not JSON, or with numbers that are not finite") from error
        except RecursionError as error:
            raise UnsupportedSchema("it is nested too deeply") from error
        if not isinstance(self.schema, dict | bool):
            raise BadSchema("a JSON schema is an object")
        words = json.dumps(self.schema)
        if '"unevaluatedProperties":' in words and '"patternProperties":' in words:
            # The validator would look for these patterns without a time limit.
            raise UnsupportedSchema("unevaluatedProperties beside patternProperties cannot be enforced")
        dialect = validator_for(self.schema, default=Draft202012Validator)
        try:
            dialect.check_schema(self.schema)
        except SchemaError as error:
            raise BadSchema(error.message[:300], pointer("", *error.absolute_path)) from error
        except RecursionError as error:
            raise UnsupportedSchema("it is nested too deeply") from error
        self.validator: Validator = _bounded(dialect)(self.schema)

    def resolve(self, reference: str, path: str) -> Any:
        """Return the schema that a ``$ref`` leads to; raises ``BadSchema``."""
        if reference not in ("#", "") and not reference.startswith("#/"):
            raise UnsupportedSchema("only references inside the schema (#/…) are followed", pointer(path, "$ref"))
        try:
            target = Resource.opaque(self.schema).pointer(reference.removeprefix("#"), Registry().resolver()).contents
        except (PointerToNowhere, TypeError, ValueError) as error:
            raise BadSchema(f"{reference[:100]!r} leads nowhere", pointer(path, "$ref")) from error
        if not isinstance(target, dict | bool):
            raise BadSchema(f"{reference[:100]!r} does not lead to a schema", pointer(path, "$ref"))
        return target

    def allows(self, value: Any, schema: Any = None) -> bool:
        """Whether a value follows the schema, or a part of it."""
        try:
            return bool((self.validator if schema is None else self.validator.evolve(schema=schema)).is_valid(value))
        except (Unresolvable, RecursionError) as error:
            raise UnsupportedSchema("it cannot be followed") from error


@lru_cache(maxsize=64)
def checked(text: str) -> CheckedSchema:
    """Return the checked schema of a text; raises ``BadSchema``."""
    return CheckedSchema(text)


def check_pattern(pattern: str, path: str) -> None:
    """Raise ``BadSchema`` unless it is a regular expression."""
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise BadSchema(f"not a regular expression: {error}", path) from error


def found(pattern: str, text: str) -> bool:
    """Whether a pattern occurs in a text. Raises ``BadSchema``, also for a search that takes too long."""
    check_pattern(pattern, "")
    try:
        return regex.search(pattern, text, timeout=MATCH_TIMEOUT_S) is not None
    except TimeoutError as error:
        raise UnsupportedSchema(f"the pattern {pattern[:100]!r} takes too long") from error


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not found(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        for pattern, schema in patterns.items():
            if found(pattern, name):
                yield from validator.descend(value, schema)


def _additional_properties(validator: Any, rest: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        named = name in schema.get("properties", {})
        if not named and not any(found(pattern, name) for pattern in schema.get("patternProperties", ())):
            yield from validator.descend(value, rest)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, list) and len(instance) > MOST_UNIQUE:
        raise UnsupportedSchema(f"uniqueItems of more than {MOST_UNIQUE} items cannot be checked")
    yield from Draft202012Validator.VALIDATORS["uniqueItems"](validator, unique, instance, schema) or ()


def _limited(check: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    def limited(*arguments: Any) -> Iterator[ValidationError]:
        check_time()
        yield from check(*arguments) or ()

    return limited


@lru_cache(maxsize=8)
def _bounded(dialect: Any) -> Any:
    """Return the dialect with a limit on the time that its keywords take."""
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    return extend(dialect, {word: _limited(check) for word, check in {**dialect.VALIDATORS, **own}.items()})
