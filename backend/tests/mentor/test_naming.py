"""Ids: what they outlive, and what they tell apart."""

from typing import Any

import pytest

from adapters.ports.documents import Document
from services.library.formats import read_records


def entry(lemma: str, gloss: str, **more: Any) -> dict[str, Any]:
    return {"lemma": lemma, "pos": "m.", "gloss_bora": gloss} | more


def documents(*records: dict[str, Any], source: str = "words.json") -> list[Document]:
    return read_records(records, source).documents


SENTENCES = [{"es": "Hay sol.", "bora": "nuhba a"}, {"es": "No hay sol.", "bora": "nuhba b"}]
SUB = {"lemma": "sol naciente", "pos": "m.", "gloss_bora": "nuhba c"}
FULL = entry("sol", "nuhba", examples=SENTENCES, subentries=[SUB])
PAIR = {"bora_text": "¿Kiá?", "spanish_text": "¿Dónde?"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FULL, FULL | {"gloss_bora": "otra"}),
        (FULL, FULL | {"pos": "f.", "notes": ["n"], "synonyms": ["s"], "variants": ["sola"]}),
        (FULL, FULL | {"lemma": " Sol "}),
        (FULL, FULL | {"subentries": [SUB | {"gloss_bora": "otra"}]}),
        (FULL, FULL | {"examples": [SENTENCES[0] | {"es": "Sale el sol."}, SENTENCES[1]]}),
        (PAIR, PAIR | {"spanish_text": "¿Adónde?", "category": "Lugar"}),
    ],
)
def test_a_correction_keeps_the_ids(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert [document.id for document in documents(before)] == [document.id for document in documents(after)]


def test_homographs_keep_their_ids_by_their_order() -> None:
    first, second = documents(entry("banco", "a"), entry("banco", "b"))
    corrected = documents(entry("banco", "a"), entry("banco", "c"))
    assert first.id != second.id
    assert [document.id for document in corrected] == [first.id, second.id]


@pytest.mark.parametrize(
    ("one", "other"),
    [(entry("tú", "a"), entry("tu", "a")), ({"lemma": "a", "gloss_bora": "b"}, {"lemma": "a", "gloss_es": "b"})],
    ids=["accent", "direction"],
)
def test_other_words_have_other_ids(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert documents(one)[0].id != documents(other)[0].id


def test_files_do_not_overwrite_each_other() -> None:
    (one,), (other,), (none,) = (documents(entry("sol", "a"), source=name) for name in ("a.json", "b.json", ""))
    assert one.id != other.id
    assert [document.metadata.get("source") for document in (one, other, none)] == ["a.json", "b.json", None]
