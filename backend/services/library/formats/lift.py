"""LIFT lexicons (Lexicon Interchange Format), as FieldWorks and WeSay export them.

The lexical unit is Bora; its meaning is the Spanish gloss or definition, else the first language's that has one.
"""

import re
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, fromstring

from services.library.formats.records import NotReadable, ParsedRecords, RecordCollector

_START: Final = re.compile(r"\s*(?:<\?xml[^>]*\?>)?\s*(?:<!--.*?-->\s*)*<lift[\s>]", re.DOTALL)
_WANTED: Final = ("es", "spa", "spanish")


def is_lift(text: str) -> bool:
    """Return whether ``text`` is a LIFT lexicon, whatever its file is called."""
    return _START.match(text) is not None


def read_lift(text: str, source: str = "") -> ParsedRecords:
    """Return the documents of a lexicon. Raises ``NotReadable`` for XML that is broken or declares entities."""
    # Entities can expand to gigabytes, and LIFT needs none.
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise NotReadable("declares a document type, which a LIFT file has no need of")
    collector = RecordCollector(source)
    for index, entry in enumerate(_entries(text)):
        if entry.get("dateDeleted") is None:
            collector.add(_record(entry), index)
    return collector.parsed


def _entries(text: str) -> list[Element]:
    try:
        return fromstring(text).findall("entry")  # noqa: S314 - document types are refused above
    except ParseError as error:
        line, column = error.position
        raise NotReadable(f"not XML, line {line} column {column + 1}: {error.msg}") from error


def _record(entry: Element) -> dict[str, Any]:
    senses = list(entry.iter("sense"))
    glosses = [gloss for sense in senses if (gloss := _meaning(sense))]
    kinds = (info.get("value", "") for sense in senses for info in sense.findall("grammatical-info"))
    return {
        "lemma": _first(entry.find("lexical-unit")) or _first(entry.find("citation")),
        "pos": next((kind for kind in kinds if kind), ""),
        "gloss_es": "; ".join(dict.fromkeys(glosses)),
        "variants": [form for variant in entry.findall("variant") if (form := _first(variant))],
        "notes": [text for note in entry.iter("note") if (text := _in_spanish(note))],
        "examples": [pair for example in entry.iter("example") if (pair := _example(example))],
    }


def _meaning(sense: Element) -> str:
    glosses = [(gloss.get("lang", ""), _text(gloss)) for gloss in sense.findall("gloss")]
    wanted = [text for language, text in glosses if language.lower().startswith(_WANTED) and text]
    defined = sense.find("definition")
    if wanted:
        return "; ".join(wanted)
    spanish = _in_spanish(defined, only=True)
    first = next((text for _, text in glosses if text), "")
    return spanish or first or _in_spanish(defined)


def _example(example: Element) -> dict[str, str] | None:
    translated = next((text for part in example.findall("translation") if (text := _in_spanish(part))), "")
    said = _first(example)
    return {"bora": said, "es": translated} if said and translated else None


def _in_spanish(parent: Element | None, *, only: bool = False) -> str:
    """Return the Spanish form of ``parent``; without one the first form, or with ``only`` an empty string."""
    forms = [] if parent is None else parent.findall("form")
    for form in forms:
        if form.get("lang", "").lower().startswith(_WANTED):
            return _text(form)
    return "" if only or not forms else _text(forms[0])


def _first(parent: Element | None) -> str:
    return next((text for form in parent.findall("form") if (text := _text(form))), "") if parent is not None else ""


def _text(parent: Element) -> str:
    found = parent.find("text")
    return " ".join("".join(found.itertext()).split()) if found is not None else ""
