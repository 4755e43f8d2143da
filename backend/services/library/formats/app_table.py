"""Rows of the app's own table ``bora_docs`` and of the lexicon tables beside it.

A row is a lemma, a sub-entry or an example. Its fields come from ``metadata``, completed from the
rows of ``lexicon_lemmas``, ``lexicon_subentries`` and ``lexicon_examples`` that it references. A row
with too few fields for a dictionary entry is kept as text, so that none is lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.ports.documents import Direction
from services.library.documents import Draft, InvalidDocument
from services.library.formats.dictionary import example_draft, head_draft
from services.library.formats.records import ParsedRecords, RecordCollector
from services.mentor.lexicon.folding import normalise

APP_TABLE: Final = "bora_docs"
_TAG_OF_SPANISH: Final = ("[LEMMA_ES]", "[SUBLEMMA_ES]")
_CARRIED: Final = frozenset(
    {"lemma", "sublemma", "gloss_es", "gloss_bora", "pos", "pos_full", "bora_text", "spanish_text", "direction"}
)
"""Metadata keys that have a dedicated field in a dictionary document."""


@dataclass(frozen=True, slots=True)
class AppRow:
    """One row of the table with the rows it references; empty where there is none."""

    id: int
    kind: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    lemma: Mapping[str, Any] = field(default_factory=dict)
    subentry: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)


def read_app_rows(rows: Iterable[AppRow], source: str = APP_TABLE) -> ParsedRecords:
    """Return one document per row, without duplicates."""
    collector = RecordCollector(source, "row")
    for row in rows:
        draft = _draft(row)
        if draft is None:
            collector.problem(row.id, "empty")
        else:
            collector.add_drafts([draft], row.id)
    return collector.parsed


def _draft(row: AppRow) -> Draft | None:
    try:
        draft = _dictionary_draft(row)
    except InvalidDocument:
        draft = None
    if draft is None:
        if not row.content.strip():
            return None
        draft = Draft("chunk", "text", row.content, {}, (str(row.id),), (normalise(row.content),))
    more = {name: value for name, value in row.metadata.items() if name not in _CARRIED and value is not None}
    # ``source`` of the document is the table.
    if "source" in more:
        more["app_source"] = more.pop("source")
    return replace(draft, metadata={**more, **draft.metadata})


def _dictionary_draft(row: AppRow) -> Draft | None:
    direction = _direction(row)
    entry = {**row.lemma, **_said(row.metadata)}
    parent = str(entry.get("lemma") or "")
    match row.kind:
        case "lemma":
            return head_draft(entry, direction, None)
        case "subentry":
            own = {**row.subentry, **_said({**row.metadata, "lemma": None})}
            return head_draft({**own, "lemma": own.get("sublemma") or parent}, direction, parent)
        case "example":
            pair = {**row.example, **_said(row.metadata)}
            texts = {"es": pair.get("spanish_text"), "bora": pair.get("bora_text")}
            return example_draft(texts, str(row.subentry.get("sublemma") or parent), direction)
    return None


def _said(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value not in (None, "")}


def _direction(row: AppRow) -> Direction:
    """Return the row's direction; older rows have none and are all Bora to Spanish."""
    direction = row.metadata.get("direction")
    if direction is None:
        if row.content.startswith(_TAG_OF_SPANISH) or (
            row.metadata.get("gloss_bora") and not row.metadata.get("gloss_es")
        ):
            return "es_bora"
        if not row.metadata.get("gloss_es"):
            direction = row.lemma.get("direction")
    return "es_bora" if direction == "es_bora" else "bora_es"
