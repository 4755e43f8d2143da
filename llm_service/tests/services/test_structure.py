"""Grammars of schemas: every text that one allows follows the schema."""

import json
import random
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engines.errors import Unsupported
from engines.requests import ChatMessage, GenerationRequest, OutputFormat, SamplingParams, Tool, Tools
from services.structure import check as check_module
from services.structure.check import BadSchema, CheckedSchema, UnsupportedSchema
from services.structure.expressions import Grammar
from services.structure.json_grammar import JsonGrammar
from services.structure.json_syntax import CommonRules
from services.structure.requests import constrained
from tests.services.random_schemas import random_schema, random_text

EXAMPLES = [150, pytest.param(2000, marks=pytest.mark.slow(of="structure"))]


def texts(schema: Any, count: int = 20) -> list[str]:
    """Return random texts of a schema's grammar."""
    grammar = Grammar()
    root = JsonGrammar(CheckedSchema(json.dumps(schema)), grammar, CommonRules(grammar)).root()
    assert grammar.ebnf(root).startswith("root ::= ")
    return [random_text(grammar, root, random.Random(seed)) for seed in range(count)]


def check(schema: Any, count: int = 20) -> set[str]:
    """Return random texts that follow a schema."""
    found = set(texts(schema, count))
    validator = Draft202012Validator(schema)
    for text in found:
        value = json.loads(text)
        assert validator.is_valid(value), f"{text} does not follow {json.dumps(schema, ensure_ascii=False)}"
    return found


@pytest.mark.parametrize("examples", EXAMPLES)
def test_no_text_breaks_a_random_schema(examples: int) -> None:
    outcomes = Counter[str]()
    for seed in range(examples):
        schema = random_schema(random.Random(seed))
        try:
            check(schema, 6)
            outcomes["followed"] += 1
        except BadSchema as error:
            outcomes[type(error).__name__] += 1
    assert outcomes["followed"] > examples / 2, outcomes


SLOW, NAME = "^(a|a)+$", "a" * 40 + "!"
"""A search for the pattern in the name takes exponential time."""
TWICE = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(40)} | {"d40": {"type": "integer"}}
ENDLESS: dict[str, dict[str, Any]] = {
    "recursion that grows": {
        "$defs": {
            "a": {"allOf": [{"$ref": "#/$defs/b"}, {"properties": {"x": {"$ref": "#/$defs/a"}}}]},
            "b": {"type": "object", "properties": {"x": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}}},
        },
        "$ref": "#/$defs/a",
    },
    "counted properties": {
        "type": "object",
        "properties": {f"p{at}": {"type": "string"} for at in range(400)},
        "minProperties": 200,
    },
    "combinations": {"allOf": [{"anyOf": [{"minLength": at}, {"maxLength": at}]} for at in range(20)]},
    "references that double": {"$defs": TWICE, "$ref": "#/$defs/d0"},
    "references of a value": {"$defs": TWICE, "enum": [{"x": 1}], "properties": {"x": {"$ref": "#/$defs/d0"}}},
    "pattern": {"enum": [f"{NAME}{at}" for at in range(300)], "pattern": SLOW},
    "pattern of names": {"enum": [{NAME: 1}], "patternProperties": {SLOW: {"type": "string"}}},
    "names beside a pattern": {
        "enum": [{NAME: 1}],
        "patternProperties": {SLOW: {"type": "string"}},
        "additionalProperties": False,
    },
    "names never evaluated": {
        "enum": [{NAME: 1}],
        "allOf": [{"patternProperties": {SLOW: {"type": "string"}}}],
        "unevaluatedProperties": False,
    },
    "merged names": {"allOf": [{"properties": {NAME: {}}}, {"patternProperties": {SLOW: {"type": "string"}}}]},
    "different items": {"enum": [[{"a": at} for at in range(9000)]], "uniqueItems": True},
    "values beside a type": {"enum": [[0] * 20_000], "items": {"allOf": [{"type": "integer"}] * 3000}},
}


def compiled(schema: dict[str, Any]) -> str:
    """Return the grammar of a request's format."""
    sampling = SamplingParams(max_new_tokens=16, temperature=0.0, top_p=0.9)
    output = OutputFormat("json", json.dumps(schema))
    request = GenerationRequest("id", (ChatMessage("user", "hola"),), sampling, output=output)
    return constrained(request, upstream=False).grammar or ""


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS)
def test_a_schema_that_would_take_for_ever_is_refused(schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemas are compiled in the process that speaks HTTP, where nobody is answered meanwhile."""
    monkeypatch.setattr(check_module, "MOST_SECONDS", 0.5)
    with pytest.raises(Unsupported):
        compiled(schema)


def test_a_list_of_thousands_of_values_is_compiled() -> None:
    assert '"\\"v8999\\""' in compiled({"type": "string", "enum": [f"v{at}" for at in range(9000)]})


def test_tools_of_earlier_requests_do_not_stay_in_memory() -> None:
    sampling = SamplingParams(max_new_tokens=16, temperature=0.0, top_p=0.9)
    tracemalloc.start()
    try:
        for number in range(20):
            tools = Tools((Tool("note", f"{number}" + "x" * 2**20, "{}"),))
            request = GenerationRequest("id", (ChatMessage("user", "hola"),), sampling, tools=tools)
            assert constrained(request, upstream=False).grammar
        assert tracemalloc.get_traced_memory()[0] < 5 * 2**20
    finally:
        tracemalloc.stop()


def test_recursion_that_can_end_ends() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    assert '{"next":null}' in {text.replace(" ", "") for text in check(node, 60)}


@pytest.mark.parametrize("text", ["{", '{"minimum": NaN}', '{"type": "number", "maximum": 1e400}'])
def test_a_schema_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadSchema, match="not JSON"):
        CheckedSchema(text)


@pytest.mark.parametrize("place", ["nothing", "title/letter", "anyOf/first", "anyOf/7", "anyOf/0/const/0"])
def test_a_reference_to_nothing_is_refused(place: str) -> None:
    with pytest.raises(BadSchema, match="leads nowhere"):
        texts({"title": "a", "anyOf": [{"const": 1}, {"$ref": f"#/{place}"}]})


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.2, 0.8), (-0.5, 0.5), (-3, 4), (10, 12.25), (-2.5, None), (None, 3), (10**20, None)]
)
def test_numbers_keep_their_bounds(low: float | None, high: float | None) -> None:
    for lower, upper in (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")):
        bounds = {word: value for word, value in ((lower, low), (upper, high)) if value is not None}
        check({"type": "number", **bounds}, 80)
        if (low, high) not in ((0.2, 0.8), (0, 1)):
            check({"type": "integer", **bounds}, 80)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        (r"^a[\n\t]b$", {"a\nb", "a\tb"}),
        (r"^\n$", {"\n"}),
        (r'^["\\]$', {'"', "\\"}),
        ("^(sí|ñ{2,3})$", {"sí", "ññ", "ñññ"}),
        ("^[^ -Z^-\U0010ffff\x00-\x1f]$", {"[", "\\", "]"}),
    ],
)
def test_a_pattern_gives_all_that_it_describes(pattern: str, meant: set[str]) -> None:
    assert {json.loads(text) for text in check({"type": "string", "pattern": pattern}, 60)} == meant


@pytest.mark.parametrize("pattern", ["(?i)a", "b(^a)", r"\bfoo", "(?=a)b", "a*+b", "(a)\\1"])
def test_an_expression_that_no_grammar_follows_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedSchema):
        texts({"type": "string", "pattern": pattern})


def test_what_cannot_be_is_left_out_where_it_may_be() -> None:
    never = {"type": "integer", "minimum": 2, "maximum": 1}
    assert check({"type": "object", "properties": {"a": never, "b": {"const": 1}}, "required": ["b"]}) <= {
        '{"b":1}',
        '{"b": 1}',
    }
    assert check({"type": "array", "items": never}) == {"[]"}
    assert check({"anyOf": [never, {"const": "ñ"}]}) == {'"ñ"'}
    with pytest.raises(BadSchema, match="contradictory"):
        texts({"type": "object", "properties": {"a": never}, "required": ["a"]})
