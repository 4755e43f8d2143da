"""Toolbox and Shoebox lexicons in MDF: lines of a marker and its value, a record from each lexeme (lx) on.

Markers after *Making Dictionaries* (Coward and Grimes, 2000). The lexeme is Bora; its meaning is the national
language's gloss, else the regional one's, else the English one's, else a definition in that order.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from services.library.formats.records import ParsedRecords, RecordCollector

_MARKED: Final = re.compile(r"\\([A-Za-z][A-Za-z0-9_-]*)(?:[ \t]+(.*))?")
_ENTRY: Final = re.compile(r"^\\lx\b", re.MULTILINE)
_GLOSSES: Final = ("gn", "gr", "ge", "dn", "dr", "de")
_LISTS: Final = {"va": "variants", "sy": "synonyms", "nt": "notes", "ng": "notes", "ns": "notes", "ee": "notes"}
_TRANSLATIONS: Final = ("xn", "xr", "xe")


def is_mdf(text: str) -> bool:
    """Return whether ``text`` is a lexicon in MDF, whatever its file is called."""
    return text.lstrip().startswith("\\") and _ENTRY.search(text) is not None


def read_mdf(text: str, source: str = "") -> ParsedRecords:
    """Return the documents of a lexicon; what is wrong in an entry is reported with the line of its lexeme."""
    collector = RecordCollector(source, "line")
    for line, fields in _entries(text):
        collector.add(_record(fields), line)
    return collector.parsed


def _entries(text: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Yield the line of each record and its fields; a line without marker continues the field before it."""
    held: list[tuple[str, str]] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        found = _MARKED.fullmatch(line.rstrip())
        if found is None:
            if held and line.strip():
                marker, value = held[-1]
                held[-1] = (marker, f"{value} {line.strip()}".strip())
            continue
        if found[1] == "lx":
            if held:
                yield start, held
            held, start = [], number
        # Lines before the first record are Toolbox's own.
        if start:
            held.append((found[1], (found[2] or "").strip()))
    if held:
        yield start, held


def _record(fields: list[tuple[str, str]]) -> dict[str, Any]:
    entry = _Part()
    part = entry
    subentries: list[_Part] = []
    for marker, value in fields:
        if marker == "se":
            part = _Part()
            subentries.append(part)
        if value:
            part.add(marker, value)
    return {**entry.record(), "subentries": [sub.record() for sub in subentries]}


class _Part:
    """An entry or sub-entry under construction."""

    def __init__(self) -> None:
        self._lemma = self._pos = ""
        self._glosses: dict[str, list[str]] = {}
        self._lists: dict[str, list[str]] = {}
        self._examples: list[dict[str, str]] = []

    def add(self, marker: str, value: str) -> None:
        """Add a field; markers that are not read are ignored."""
        if marker in ("lx", "se"):
            self._lemma = value
        elif marker in ("ps", "pn"):
            self._pos = self._pos or value
        elif marker in _GLOSSES:
            self._glosses.setdefault(marker, []).append(value)
        elif marker in _LISTS:
            self._lists.setdefault(_LISTS[marker], []).append(value)
        elif marker == "xv":
            self._examples.append({"bora": value})
        elif marker in _TRANSLATIONS and self._examples:
            # The first translation in the order of the languages wins, in whatever order they stand.
            example = self._examples[-1]
            if _TRANSLATIONS.index(marker) <= _TRANSLATIONS.index(example.get("marker", "xe")):
                example.update(es=value, marker=marker)

    def record(self) -> dict[str, Any]:
        """Return the entry as a dictionary file has it."""
        senses = next((self._glosses[marker] for marker in _GLOSSES if marker in self._glosses), [])
        pairs = [{"bora": one["bora"], "es": one["es"]} for one in self._examples if "es" in one]
        return {
            "lemma": self._lemma,
            "pos": self._pos,
            "gloss_es": "; ".join(dict.fromkeys(senses)),
            "examples": pairs,
            **self._lists,
        }
