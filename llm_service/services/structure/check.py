"""Checks a JSON schema before an engine sees it, and JSON texts against it."""

import json
from collections.abc import Iterator
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
MOST_STEPS = 500_000
"""Combinations and values that are looked at for one grammar, or one answer: about a second, in which the service does
nothing else. References can make their number exponential in the length of a schema.
"""
STEPS_OF_A_REFERENCE, STEPS_OF_A_CHECK = 50, 5
"""What these take, in combinations."""


class BadSchema(ValueError):
    """A malformed or contradictory schema. ``path`` is a JSON pointer into it: ``/properties/age``."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnsupportedSchema(BadSchema):
    """A legal schema with a keyword that cannot be enforced."""


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
        dialect = validator_for(self.schema, default=Draft202012Validator)
        try:
            dialect.check_schema(self.schema)
        except SchemaError as error:
            raise BadSchema(error.message[:300], pointer("", *error.absolute_path)) from error
        except RecursionError as error:
            raise UnsupportedSchema("it is nested too deeply") from error
        self._follow = dialect.VALIDATORS["$ref"]
        self.validator: Validator = extend(dialect, {"pattern": _pattern, "$ref": self._reference})(self.schema)
        self._steps = 0

    def begin(self) -> None:
        """Begin to count the steps of a grammar, or of the check of an answer."""
        self._steps = 0

    def step(self, count: int = 1) -> None:
        """Count steps; raises ``UnsupportedSchema`` for too many."""
        self._steps += count
        if self._steps > MOST_STEPS:
            raise UnsupportedSchema("it combines too many schemas")

    def resolve(self, reference: str, path: str) -> Any:
        """Return the schema that a ``$ref`` leads to; raises ``BadSchema``."""
        self.step(STEPS_OF_A_REFERENCE)
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
        self.step(STEPS_OF_A_CHECK)
        try:
            return bool((self.validator if schema is None else self.validator.evolve(schema=schema)).is_valid(value))
        except (Unresolvable, RecursionError) as error:
            raise UnsupportedSchema("it cannot be followed") from error

    def _reference(self, validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        self.step(STEPS_OF_A_REFERENCE)
        yield from self._follow(validator, reference, instance, schema)


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


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Search with a time limit: an expression may take exponential time and blocks the service meanwhile."""
    if isinstance(instance, str):
        try:
            if not regex.search(pattern, instance, timeout=MATCH_TIMEOUT_S):
                yield ValidationError(f"{instance!r} does not match {pattern!r}")
        except TimeoutError:
            return
