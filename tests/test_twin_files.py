"""The apps share no code, so that each can be installed alone; what both hold must not drift apart."""

from __future__ import annotations

import ast

import pytest

from conftest import ROOT


def code_of(path: str) -> str:
    """A module's code without its docstrings and comments, which speak of the app they are in."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ]
    return ast.unparse(tree).casefold()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("backend/observability/tracing.py", "llm_service/observability/tracing.py"),
        ("backend/observability/tracing_otlp.py", "llm_service/observability/tracing_otlp.py"),
        ("tests/trace_collector.py", "llm_service/tests/api/trace_collector.py"),
    ],
)
def test_what_two_hold_is_the_same(one: str, other: str) -> None:
    assert code_of(one) == code_of(other)
