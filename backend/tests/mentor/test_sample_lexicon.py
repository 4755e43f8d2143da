"""The sample lexicon is well-formed, complete enough for the first questions, and free of copied sentences."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data"
REQUIRED = {
    "perro": "oohííbye",
    "casa": "jaá",
    "agua": "nújpacyo",
    "cantar": "majtsíva",
    "comer": "majcho",
    "dormir": "cuwa",
    "sol": "nuhba",
    "río": "teéhi",
    "padre": "caani",
    "dos": "míñéécuú",
}
# The letters of Bora's practical spelling once tone marks are taken off; "g" and "r" are rare but real.
BORA_WORD = re.compile(r"[abcdeghijklmnñoprstuvwyɨ]+")


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((DATA / "sample_lexicon.json").read_text(encoding="utf-8"))
    return loaded


def without_tone(word: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", word).replace("\u0301", ""))


@pytest.mark.parametrize(("spanish", "bora"), REQUIRED.items())
def test_the_first_words_of_a_learner_are_there(entries: list[dict[str, Any]], spanish: str, bora: str) -> None:
    assert [entry["gloss_bora"] for entry in entries if entry["lemma"] == spanish] == [bora]


def test_no_sentence_of_the_dictionary_is_carried_along(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        assert entry["examples"] == entry["subentries"] == entry["notes"] == []
        assert " " not in entry["gloss_bora"], entry


def test_bora_words_use_the_letters_of_its_spelling(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        assert BORA_WORD.fullmatch(without_tone(entry["gloss_bora"])), entry


def test_all_text_is_composed_unicode(entries: list[dict[str, Any]]) -> None:
    assert unicodedata.is_normalized("NFC", json.dumps(entries, ensure_ascii=False))


def test_the_readme_names_the_source_and_lists_every_pair(entries: list[dict[str, Any]]) -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert "Thiesen" in readme
    assert "1998" in readme
    for entry in entries:
        assert f"| {entry['lemma']} | {entry['gloss_bora']} |" in readme
