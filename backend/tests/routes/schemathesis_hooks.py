"""What Schemathesis cannot read out of ``/openapi.json``; loaded by its command line, not by pytest."""

from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

from schemathesis_times import give_time


@schemathesis.hook
def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
    """Give requests time, and take out of valid metadata what JSON can say and Postgres cannot store."""
    give_time(case)
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if positive and case.path == "/api/rag/entries":
        # A cursor is what a page gave; letters are those of the direction.
        for name in ("after", "letter"):
            (case.query or {}).pop(name, None)
    body: Any = case.body
    if positive and isinstance(body, dict) and "documents" in body:
        for document in body["documents"]:
            if "metadata" in document:
                document["metadata"] = _without_null_characters(document["metadata"])
    return case


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Accept that a text longer than allowed is refused for the size of the whole body (413), and that bytes which are
    no readable file are refused: no schema can tell them apart.
    """
    too_large = isinstance(failure, AcceptedNegativeData) and response.status_code == 413
    refused = isinstance(failure, RejectedPositiveData) and response.status_code == 422
    return not too_large and not (refused and case.path == "/api/rag/uploads")


def _without_null_characters(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_null_characters(item) for item in value]
        case dict():
            return {key.replace("\0", ""): _without_null_characters(item) for key, item in value.items()}
    return value
