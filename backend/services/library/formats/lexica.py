"""Lexicons of field linguists, in which the lexeme is Bora: Toolbox and Shoebox (MDF), and LIFT.

MDF is lines of a marker and its value, a record from each lexeme (lx) on; the markers are those of *Making
Dictionaries* (Coward and Grimes, 2000). The meaning is the national language's gloss, else the regional one's, else
the English one's, else a definition in that order. LIFT (Lexicon Interchange Format) is what FieldWorks and WeSay
export; the meaning is the Spanish gloss or definition, else the first language's that has one.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, fromstring

from services.library.formats.records import NotReadable, ParsedRecords, RecordCollector

_MARKED: Final = re.compile(r"\\([A-Za-z][A-Za-z0-9_-]*)(?:[ \t]+(.*))?")
_ENTRY: Final = re.compile(r"^\\lx\b", re.MULTILINE)
_GLOSSES: Final = ("gn", "gr", "ge", "dn", "dr", "de")
_LISTS: Final = {"variants": ("va",), "synonyms": ("sy",), "notes": ("nt", "ng", "ns", "ee")}
_TRANSLATIONS: Final = ("xn", "xr", "xe")


def is_mdf(text: str) -> bool:
    """Return whether ``text`` is a lexicon in MDF, whatever its file is called."""
    return text.lstrip().startswith("\\") and _ENTRY.search(text) is not None


def read_mdf(text: str, source: str = "") -> ParsedRecords:
    """Return the documents of a lexicon; faults of an entry are reported with the line of its lexeme."""
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
    """Return an entry as a dictionary file has it; a sub-entry begins with its marker (se)."""
    starts = [0, *(at for at, (marker, _) in enumerate(fields) if marker == "se"), len(fields)]
    entry, *subentries = (_part(fields[start:end]) for start, end in pairwise(starts))
    return {**entry, "subentries": subentries}


def _part(fields: list[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, list[str]] = defaultdict(list)
    examples: list[dict[str, str]] = []
    for marker, value in fields:
        if not value:
            continue
        values[marker].append(value)
        if marker == "xv":
            examples.append({"bora": value})
        elif marker in _TRANSLATIONS and examples:
            examples[-1][marker] = value
    lists = {name: [value for marker in markers for value in values[marker]] for name, markers in _LISTS.items()}
    senses = next((values[marker] for marker in _GLOSSES if values[marker]), [])
    return {
        "lemma": next(iter([*values["lx"], *values["se"]]), ""),
        "pos": next(iter([*values["ps"], *values["pn"]]), ""),
        "gloss_es": "; ".join(dict.fromkeys(senses)),
        "examples": [
            {"bora": example["bora"], "es": translated}
            for example in examples
            if (translated := next((example[marker] for marker in _TRANSLATIONS if marker in example), ""))
        ],
        **lists,
    }


_START: Final = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<lift[\s>]", re.DOTALL)
_WANTED: Final = ("es", "spa", "spanish")


def is_lift(text: str) -> bool:
    """Return whether ``text`` is a LIFT lexicon, whatever its file is called."""
    return _START.match(text) is not None


def read_lift(text: str, source: str = "") -> ParsedRecords:
    """Return the documents of a lexicon. Raises ``NotReadable`` for XML that is broken or declares entities."""
    # Entities can expand to gigabytes, and LIFT needs none.
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise NotReadable("declares a document type, which LIFT files do not need")
    try:
        entries = fromstring(text).findall("entry")  # noqa: S314 - document types are refused above
    except ParseError as error:
        line, column = error.position
        raise NotReadable(f"not XML, line {line} column {column + 1}: {error.msg}") from error
    collector = RecordCollector(source)
    for index, entry in enumerate(entries):
        if entry.get("dateDeleted") is None:
            collector.add(_lift_record(entry), index)
    return collector.parsed


def _lift_record(entry: Element) -> dict[str, Any]:
    kinds = [info.get("value", "") for info in entry.findall(".//sense/grammatical-info")]
    meanings = [_said(sense, "gloss", "definition/form") for sense in entry.iter("sense")]
    examples = [
        {"bora": _first(example, "form"), "es": _said(example, "translation/form")} for example in entry.iter("example")
    ]
    return {
        "lemma": _first(entry, "lexical-unit/form") or _first(entry, "citation/form"),
        "pos": next(filter(None, kinds), ""),
        "gloss_es": "; ".join(dict.fromkeys(filter(None, meanings))),
        "variants": [_first(variant, "form") for variant in entry.findall("variant")],
        "notes": [_said(note, "form") for note in entry.iter("note")],
        "examples": [example for example in examples if all(example.values())],
    }


def _said(parent: Element, *paths: str) -> str:
    """Return the Spanish texts at the first path that has any, else the first text."""
    for path in paths:
        spanish = [part for part in parent.findall(path) if part.get("lang", "").lower().startswith(_WANTED)]
        if texts := [text for part in spanish if (text := _text(part))]:
            return "; ".join(texts)
    return next((text for path in paths if (text := _first(parent, path))), "")


def _first(parent: Element, path: str) -> str:
    return next((text for part in parent.findall(path) if (text := _text(part))), "")


def _text(parent: Element) -> str:
    found = parent.find("text")
    return " ".join("".join(found.itertext()).split()) if found is not None else ""
