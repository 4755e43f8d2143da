"""Taking over the app's own table: every row arrives, the table stays as it is, a second run changes nothing."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.library.formats.app_table import AppRow, read_app_rows
from tests.library.ingest_command import count, ingest, rows

TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE lexicon_lemmas (id bigint PRIMARY KEY, lemma text NOT NULL, gloss_es text, pos text, pos_full text,
    page int, variants jsonb, synonyms jsonb, raw text, source text, direction text DEFAULT 'bora_es', gloss_bora text);
CREATE TABLE lexicon_subentries (id bigint PRIMARY KEY, lemma_id bigint NOT NULL REFERENCES lexicon_lemmas,
    sublemma text, gloss_es text, pos text, pos_full text, variants jsonb, synonyms jsonb, gloss_bora text);
CREATE TABLE lexicon_examples (id bigint PRIMARY KEY, lemma_id bigint NOT NULL REFERENCES lexicon_lemmas,
    subentry_id bigint REFERENCES lexicon_subentries, bora_text text NOT NULL, spanish_text text NOT NULL);
CREATE TABLE bora_docs (id bigint PRIMARY KEY, kind text NOT NULL, parent_lemma_id bigint NOT NULL REFERENCES
    lexicon_lemmas, subentry_id bigint REFERENCES lexicon_subentries, example_id bigint REFERENCES lexicon_examples,
    content text NOT NULL, embedding vector(384), embedding_1536 vector(1536), metadata jsonb,
    created_at timestamptz DEFAULT now());
"""
LEMMAS = [
    (1, "tsubu", "casa", "s.", "sustantivo", Jsonb(["tsubuu"]), "bora_es", None),
    (2, "casa", None, "s.", "sustantivo", None, "es_bora", "tsubu"),
    (3, "casa", None, "s.", "sustantivo", None, "es_bora", "miiko"),
]
DOCS: list[tuple[int, str, int, int | None, int | None, str, Any]] = [
    (1, "lemma", 1, None, None, "[LEMMA] tsubu | DEF_ES: casa", {"lemma": "tsubu", "gloss_es": "casa", "page": 7}),
    (2, "lemma", 2, None, None, "[LEMMA_ES] casa | DEF_BORA: tsubu",
     {"lemma": "casa", "gloss_bora": "tsubu", "direction": "es_bora", "source": "es.json"}),
    (3, "lemma", 3, None, None, "[LEMMA_ES] casa | DEF_BORA: miiko",
     {"lemma": "casa", "gloss_bora": "miiko", "direction": "es_bora", "source": "es.json"}),
    (4, "subentry", 1, 1, None, "[SUBLEMMA] tsubu bane", {"lemma": "tsubu", "sublemma": "tsubu bane",
     "gloss_es": "casa grande"}),
    (5, "example", 1, None, 1, "BORA: tsubu ne [SEP] ES: es mi casa", {"lemma": "tsubu", "bora_text": "tsubu ne",
     "spanish_text": "es mi casa"}),
    (6, "lemma", 1, None, None, "only what the lexicon says", None),
    (7, "note", 1, None, None, "what no dictionary has a place for", {"by": "a teacher"}),
    (8, "lemma", 1, None, None, "[LEMMA] tsubu | DEF_ES: casa", {"lemma": "tsubu", "gloss_es": "casa", "pos": "s."}),
]  # fmt: skip


@pytest.fixture
def app_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLES)
        for row in LEMMAS:
            connection.execute(
                "INSERT INTO lexicon_lemmas (id, lemma, gloss_es, pos, pos_full, variants, direction, gloss_bora) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                row,
            )
        connection.execute("INSERT INTO lexicon_subentries VALUES (1, 1, 'tsubu bane', 'casa grande')")
        connection.execute("INSERT INTO lexicon_examples VALUES (1, 1, NULL, 'tsubu ne', 'es mi casa')")
        for *columns, metadata in DOCS:
            connection.execute(
                "INSERT INTO bora_docs (id, kind, parent_lemma_id, subentry_id, example_id, content, metadata) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [*columns, None if metadata is None else Jsonb(metadata)],
            )
    return database_url


def stored(database_url: str, *names: str) -> Sequence[Any]:
    fields = ", ".join(f"metadata ->> '{name}'" for name in names)
    return rows(database_url, f"SELECT {fields} FROM rag_documents ORDER BY content")


def test_every_row_becomes_a_document_and_a_second_run_changes_nothing(app_database: str) -> None:
    before = rows(app_database, "SELECT id, kind, content, metadata FROM bora_docs ORDER BY id")
    first = ingest(app_database, "--from-table", "--no-embed")
    assert first.returncode == 0, first.stderr
    # Three rows say that tsubu, a noun, is casa: what two of them leave out stands in the lexicon.
    assert "bora_docs: 6 new, 0 changed, 0 unchanged; 0 left out, 2 printed twice" in first.stdout
    assert stored(app_database, "part", "direction", "lemma", "gloss", "pos", "parent_lemma") == [
        ("entry", "es_bora", "casa", "miiko", "s.", None),
        ("entry", "es_bora", "casa", "tsubu", "s.", None),
        ("subentry", "bora_es", "tsubu bane", "casa grande", "", "tsubu"),
        ("example", "bora_es", "tsubu ne", "es mi casa", "", "tsubu"),
        ("entry", "bora_es", "tsubu", "casa", "s.", None),
        (None, None, None, None, None, None),
    ]
    assert "0 new, 0 changed, 6 unchanged" in ingest(app_database, "--from-table", "--no-embed").stdout
    assert rows(app_database, "SELECT id, kind, content, metadata FROM bora_docs ORDER BY id") == before


def test_what_a_row_says_besides_stays_with_its_document(app_database: str) -> None:
    ingest(app_database, "--from-table", "--no-embed")
    (first,) = rows(app_database, "SELECT metadata FROM rag_documents WHERE metadata ->> 'lemma' = 'tsubu'")
    assert {"page": 7, "variants": ["tsubuu"], "pos_full": "sustantivo"}.items() <= first[0].items()
    assert count(app_database, "metadata ->> 'app_source' = 'es.json'") == 2
    assert count(app_database, "kind = 'text' AND metadata ->> 'by' = 'a teacher'") == 1


def test_a_row_that_the_app_changed_or_removed_is_followed(app_database: str) -> None:
    ingest(app_database, "--from-table", "--no-embed")
    with psycopg.connect(app_database, autocommit=True) as connection:
        connection.execute('UPDATE bora_docs SET metadata = metadata || \'{"gloss_bora": "tsubune"}\' WHERE id = 2')
        connection.execute("DELETE FROM bora_docs WHERE id = 5")
    again = ingest(app_database, "--from-table", "--no-embed", "--prune")
    assert "0 new, 1 changed, 4 unchanged" in again.stdout
    assert "1 documents of an earlier load are no longer in it and were removed" in again.stdout


def test_a_table_without_the_lexicon_beside_it_is_enough(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA app CREATE TABLE bora_docs (id int, kind text, content text, metadata jsonb)")
        connection.execute(
            'INSERT INTO app.bora_docs VALUES (1, \'lemma\', \'x\', \'{"lemma": "sol", "gloss_bora": "nuhba"}\')'
        )
    assert ingest(database_url, "--from-table", "app.bora_docs", "--no-embed").returncode == 0
    assert stored(database_url, "source", "lemma", "gloss", "direction") == [
        ("app.bora_docs", "sol", "nuhba", "es_bora")
    ]


@pytest.mark.parametrize("table", ["bora_docs", "no.such", "a.b.c.d"])
def test_a_table_that_is_not_there_is_one_line(database_url: str, table: str) -> None:
    result = ingest(database_url, "--from-table", table, "--no-embed")
    assert result.returncode == 2
    assert f"the table {table} cannot be read" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_row_without_anything_is_told_by_its_id() -> None:
    parsed = read_app_rows([AppRow(41, "lemma", " "), AppRow(42, "subentry", "kept as text", {"lemma": "x"})])
    assert [str(problem) for problem in parsed.problems] == ["row 41: empty"]
    assert [(document.kind, document.content) for document in parsed.documents] == [("text", "kept as text")]
