"""Grammar of a request, and validation of its answer."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import regex
from cachetools import LRUCache, cached

from engines.errors import Unsupported
from engines.prompts.tools import CALL_BEGINS
from engines.requests import GenerationRequest, OutputFormat, ToolCall, Tools
from services.errors import InvalidRequest
from services.structure import regular
from services.structure.check import MATCH_TIMEOUT_S, BadSchema, UnsupportedSchema, check_pattern, checked, limited_time
from services.structure.expressions import Expression, Grammar, TooLarge, alt, seq
from services.structure.json_grammar import JsonGrammar
from services.structure.json_syntax import CommonRules
from services.structure.tool_grammar import calls, text_or_calls

MOST_CALLS = 8
GRAMMAR_CHARACTERS = 16 * 1024 * 1024
"""Characters of the grammars that are kept for later requests."""
ANY_OBJECT = {"type": "object"}


def constrained(request: GenerationRequest, *, upstream: bool) -> GenerationRequest:
    """Return the request with the grammar of what it asks for. Raises ``InvalidRequest`` and ``Unsupported``, which
    name the field and the place inside a schema.

    An ``upstream`` gets schemas and tools as they are and refuses what it cannot do; here they are only checked.
    """
    tools = request.tools if request.tools is not None and request.tools.callable else None
    if tools is None and request.output is None:
        return request
    if request.continues:
        raise InvalidRequest("an answer that is continued can have neither tools nor a format", field="messages")
    try:
        with limited_time():
            grammar = _grammar(tools, request.output, request.enable_thinking)
    except Unsupported:
        if not upstream:
            raise
        return request
    return request if upstream else replace(request, grammar=grammar)


def find_fault(request: GenerationRequest, answer: str, tool_calls: tuple[ToolCall, ...]) -> str | None:
    """Return what is wrong with a whole answer; ``None`` when it is valid."""
    tools = request.tools
    for call in tool_calls:
        tool = next((each for each in (tools.callable if tools else ()) if each.name == call.name), None)
        if tool is None:
            return "a call names no tool"
        if not _follows(call.arguments, tool.parameters):
            return "the arguments of a call do not follow the tool's parameters"
    if tools is not None and tools.choice == "required" and not tool_calls:
        return "no tool was called"
    if request.output is not None and not tool_calls and not _is_what_was_asked(answer, request.output):
        return "the text does not follow its format"
    return None


def _key(*asked: object) -> bytes:
    """Return a key that does not keep the request's texts in memory."""
    return hashlib.sha256(repr(asked).encode()).digest()


@cached(LRUCache(GRAMMAR_CHARACTERS, getsizeof=len), key=_key)
def _grammar(tools: Tools | None, output: OutputFormat | None, thinking: bool) -> str:
    grammar = Grammar()
    common = CommonRules(grammar)
    options: list[Expression] = []
    if output is not None and (tools is None or tools.choice != "required"):
        with _naming(output.field):
            if output.kind == "grammar":
                if tools is not None:
                    raise UnsupportedSchema("a grammar cannot be combined with tools")
                return output.source
            options.append(_output(grammar, common, output))
    if tools is not None:
        arguments: dict[str, Expression] = {}
        for at, tool in enumerate(tools.offered):
            if tool in tools.callable:
                with _naming(f"tools[{at}].function.parameters"):
                    arguments[tool.name] = _json(grammar, common, tool.parameters, only_objects=True)
        several = tools.only is None and (tools.parallel or (tools.parallel is None and tools.choice == "auto"))
        after_tag = calls(grammar, arguments, MOST_CALLS if several else 1)
        if tools.choice == "required" or output is not None:
            options.append(seq(CALL_BEGINS, after_tag))
        else:
            options.append(text_or_calls(grammar, after_tag, thinking=thinking))
    with _naming("tools" if tools is not None else "response_format"):
        return grammar.ebnf(alt(*options))


def _output(grammar: Grammar, common: CommonRules, output: OutputFormat) -> Expression:
    if output.kind == "json":
        return _json(grammar, common, output.source)
    if output.kind == "choice":
        return alt(*json.loads(output.source))
    check_pattern(output.source, "")
    try:
        return regular.whole_match(output.source)
    except regular.NotRegular as error:
        raise UnsupportedSchema(f"this expression cannot be enforced: {error}") from error


def _json(grammar: Grammar, common: CommonRules, text: str, *, only_objects: bool = False) -> Expression:
    document = checked(text)
    if document.schema == ANY_OBJECT:
        return common.object
    return JsonGrammar(document, grammar, common).root(only_objects=only_objects)


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except UnsupportedSchema as error:
        raise Unsupported(_placed(error), field=field) from error
    except BadSchema as error:
        raise InvalidRequest(_placed(error), field=field) from error
    except (TooLarge, RecursionError) as error:
        raise Unsupported("its grammar would be too large", field=field) from error


def _placed(error: BadSchema) -> str:
    return f"{error} (at {error.path})" if error.path else str(error)


def _follows(text: str, schema: str) -> bool:
    try:
        with limited_time():
            return is_json(text) and checked(schema).allows(json.loads(text))
    except UnsupportedSchema:
        return True  # only an upstream can judge it


def is_json(text: str) -> bool:
    """Whether a text is JSON; Python reads NaN and infinities, too."""
    try:
        json.dumps(json.loads(text), allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def _is_what_was_asked(answer: str, output: OutputFormat) -> bool:
    if output.kind == "json":
        return _follows(answer, output.source)
    if output.kind == "choice":
        return answer in json.loads(output.source)
    if output.kind == "regex":
        try:
            return regex.fullmatch(output.source, answer, timeout=MATCH_TIMEOUT_S) is not None
        except TimeoutError:
            return True
    return True
