"""What Schemathesis cannot read out of ``/openapi.json``; loaded by its command line, not by pytest."""

import re
import zlib
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

from schemathesis_times import give_time

CONTEXT = (
    "dimensions",
    "chat_template_kwargs.enable_thinking",
    "enable_thinking",
    "input",
    "logprobs",
    "max_tokens",
    "n",
    "prompt",
    "reasoning_effort",
    "response_format",
    "stream_options",
    "structured_outputs",
    "thinking_budget",
    "tokens",
    "tool_choice",
    "tools",
    "top_logprobs",
    "temperature",
    "top_p",
)
"""Fields that are refused because of another field, or of the model in use: no schema can say that."""

OF_A_TURN = re.compile(r"^messages[.\[]\d+\]?\.(content|tool_calls)$")
"""A turn needs a content or, of the assistant, calls."""
DISAGREEING = (
    "chat_template_kwargs",
    "enable_thinking",
    "logprobs",
    "max_completion_tokens",
    "reasoning_effort",
    "response_format",
    "structured_outputs",
    "thinking_budget",
    "tool_choice",
    "tools",
    "top_logprobs",
)


@schemathesis.hook
def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
    """Give requests time; most valid ones also a model that is served, and fields that agree."""
    give_time(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    if zlib.crc32(repr((case.body, case.path_parameters)).encode()) % 4:
        if isinstance(case.body, dict):
            case.body = _agreeing(case.body)
        if "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = "default"
    return case


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Accept that a field is refused because of another, when the error names it, and a body for its size (413); and
    that an engine without weights follows no grammar.
    """
    if response.status_code == 500 and "failed validation" in response.text:
        return False
    if isinstance(failure, AcceptedNegativeData):
        return response.status_code != 413
    if not isinstance(failure, RejectedPositiveData) or response.status_code not in (400, 422):
        return True
    error = response.json()["error"]
    reason = error.get("code", error["type"])
    named = error.get("param") or error["message"].partition(":")[0]
    return not (reason == "context_length_exceeded" or str(named).startswith(CONTEXT) or OF_A_TURN.search(str(named)))


def _agreeing(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose fields agree with each other and with the engine that needs no weights."""
    changed = dict(body)
    if "model" in changed:
        changed["model"] = "default"
    if changed.get("dimensions"):
        changed["dimensions"] = 384
    for field in DISAGREEING:
        changed.pop(field, None)
    if not changed.get("stream"):
        changed.pop("stream_options", None)
    return changed
