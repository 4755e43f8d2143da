"""Markdown and text: where chunks begin and end, and what stays the same when a file is edited."""

import re

import pytest

from services.library.formats.texts.markdown import read_markdown, read_text
from services.library.formats.texts.sections import CHUNK_CHARS

SENTENCE = "El sol sale por la mañana y la gente va a la chacra. "


def contents(text: str) -> list[str]:
    return [document.content for document in read_markdown(text).documents]


def test_chunks_stand_under_their_headings() -> None:
    text = "Antes.\n\n# Uno\n\nA.\n\n## Dos\n\nB.\n\n### Tres ###\nC.\n\n## Cuatro\n\nD.\n\nOtro\n====\nE.\n"
    assert contents(text) == [
        "Antes.",
        "Uno\nA.",
        "Uno › Dos\nB.",
        "Uno › Dos › Tres\nC.",
        "Uno › Cuatro\nD.",
        "Otro\nE.",
    ]
    assert read_markdown(text).documents[2].metadata["heading"] == "Uno › Dos"


def test_what_only_looks_like_a_heading_is_text() -> None:
    text = "Uno.\n\n```\n# no\n```\n\n#tampoco\n\n| a |\n---\n\nPárrafo de\ndos líneas\n---\nfin\n"
    (only,) = contents(text)
    assert "# no" in only
    assert "#tampoco" in only


def test_settings_on_top_and_comments_are_left_out() -> None:
    assert contents("---\ntitle: x\n---\nTexto.\n\n<!-- nota\nlarga -->\n") == ["Texto."]


def test_short_paragraphs_share_a_chunk_and_none_is_torn() -> None:
    paragraphs = [f"Párrafo {number}. {SENTENCE * 3}".strip() for number in range(12)]
    documents = read_text("\n\n".join(paragraphs)).documents
    assert 1 < len(documents) < len(paragraphs)
    assert [part for document in documents for part in document.content.split("\n\n")] == paragraphs


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    documents = read_text(SENTENCE * 60).documents
    assert len(documents) > 3
    assert all(document.content.endswith(".") for document in documents)
    assert " ".join(document.content for document in documents) == (SENTENCE * 60).strip()


@pytest.mark.parametrize(
    "text",
    [
        "palabra " * 1_000,
        "x" * 5_000,
        "Dijo «ven.» Y (no vino.) " * 80,
        f"{SENTENCE * 40}\n\n{'y' * 900}\n\nfin",
        "- punto de la lista\n" * 200,
    ],
)
def test_no_chunk_is_too_long_and_nothing_is_lost(text: str) -> None:
    found = [document.content for document in read_text(text).documents]
    assert all(0 < len(content) <= CHUNK_CHARS for content in found)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)


def test_an_edit_of_one_section_leaves_the_others_as_they_are() -> None:
    text = "# Uno\n\nA.\n\n# Dos\n\nB.\n"
    edited = "# Uno\n\nA, y más.\n\nY otro párrafo.\n\n# Dos\n\nB.\n"
    before, after = read_markdown(text, "x.md").documents, read_markdown(edited, "x.md").documents
    assert [document.id for document in before] == [document.id for document in after]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_chunks_that_say_the_same_are_kept_apart() -> None:
    documents = read_markdown("# A\n\nIgual.\n\n# B\n\nIgual.\n\n# A\n\nIgual.\n").documents
    assert len({document.id for document in documents}) == 3


def test_a_chunk_that_cannot_be_stored_is_reported_with_its_line() -> None:
    parsed = read_markdown("# Uno\n\nBien.\n\n# Dos\n\nMal\0.\n")
    assert [document.content for document in parsed.documents] == ["Uno\nBien."]
    assert str(parsed.problems[0]) == "line 7: content: holds a null character"


@pytest.mark.parametrize("text", ["", "\n\n", "# Solo un título\n"])
def test_a_text_without_text_has_no_documents(text: str) -> None:
    assert contents(text) == []
