"""Real sentences that lie on every machine after set-up, or those of a file."""

import ast
import importlib.util
import json
import random
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.processes import MeasuringFailed

PACKAGES = ("numpy", "scipy", "sklearn", "sympy", "networkx")
"""Beside Python's own documentation: what sentence-transformers and torch bring along, under BSD licences."""
LEAST = 10_000
MOST_WORDS, FEWEST_WORDS, FEWEST_IN_A_FILE = 60, 6, 3
LETTERS = 0.85
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`(])")
_PARAGRAPH = re.compile(r"\n\s*\n")
_NO_PROSE = ("---", "===", ">>>", "::", "Args:", "Parameters", "Returns:")


def documentation_sentences() -> list[str]:
    """Return the distinct sentences of the docstrings of Python and ``PACKAGES``, sorted.

    Raises ``MeasuringFailed`` when there are fewer than ``LEAST``.
    """
    from pydoc_data.topics import topics

    found: dict[str, str] = {}
    for text in topics.values():
        _add(found, text)
    for folder in _folders():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).parts
            if "site-packages" not in parts and not any("test" in part for part in parts):
                for text in _docstrings(path):
                    _add(found, text)
    if len(found) < LEAST:
        raise MeasuringFailed(f"only {len(found)} sentences in the documentation of the installed packages")
    return sorted(found.values())


def sentences_of(path: Path) -> list[str]:
    """Return the distinct texts of three words or more in a JSON file, or else the lines of the file."""
    content = path.read_text(encoding="utf-8")
    texts = _strings(json.loads(content)) if path.suffix == ".json" else iter(content.splitlines())
    plain = (" ".join(text.split()) for text in texts)
    return sorted({text for text in plain if len(text.split()) >= FEWEST_IN_A_FILE})


def held_out(sentences: list[str], documents: int, queries: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw documents and, from the rest, queries (at most a tenth of all sentences)."""
    drawn = random.Random(seed).sample(sentences, len(sentences))
    queries = min(queries, len(drawn) // 10)
    return drawn[queries : queries + documents], drawn[:queries]


def _folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("stdlib"))
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent


def _docstrings(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def _add(found: dict[str, str], text: str) -> None:
    for paragraph in _PARAGRAPH.split(text):
        if not any(mark in paragraph for mark in _NO_PROSE):
            for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
                if _is_prose(sentence):
                    found.setdefault(sentence.casefold(), sentence)


def _is_prose(sentence: str) -> bool:
    if not FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS:
        return False
    letters = sum(character.isalpha() or character == " " for character in sentence)
    return sentence[0].isupper() and sentence[-1] in ".!?" and letters > LETTERS * len(sentence)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
