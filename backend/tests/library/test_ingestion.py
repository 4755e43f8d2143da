from pathlib import Path
from typing import Any

import pytest

from adapters.ports.documents import Document
from adapters.supabase_adapter import SupabaseAdapter
from services.library.formats import UnreadableFile, read_file, read_records
from services.library.ingestion import DocumentIngestor, Progress
from tests.fakes import FakeEmbedder


def entry(lemma: Any = "sol", gloss: Any = "nuhba", **more: Any) -> dict[str, Any]:
    return {"lemma": lemma, "pos": "m.", "gloss_bora": gloss} | more


RICH = entry(
    "zapato",
    "tujpaco",
    variants=["zapata"],
    synonyms=["calzado"],
    subentries=[{"lemma": "ponerse el zapato", "pos": "vr.", "gloss_bora": "tujpacoóve", "examples": []}],
    examples=[{"es": "Compré un zapato.", "bora": "Ó najtsú tujpaco."}],
)


def test_an_entry_its_sub_entries_and_its_examples_become_documents() -> None:
    documents = read_records([RICH]).documents
    assert [(doc.metadata["part"], doc.content, doc.metadata.get("parent_lemma")) for doc in documents] == [
        ("entry", "zapato, zapata (m.): tujpaco", None),
        ("example", "Compré un zapato. = Ó najtsú tujpaco.", "zapato"),
        ("subentry", "ponerse el zapato (vr.): tujpacoóve", "zapato"),
    ]
    assert all(
        doc.kind == "dictionary" and {"lemma", "gloss", "pos", "direction"} <= doc.metadata.keys() for doc in documents
    )


def test_a_gloss_in_spanish_makes_a_bora_entry() -> None:
    record = entry("nuhba", None) | {"gloss_es": "sol, luna"}
    del record["gloss_bora"]
    record["examples"] = [{"es": "Hay sol.", "bora": "Nuhba."}]
    first, example = read_records([record]).documents
    assert (first.metadata["direction"], first.metadata["lemma"], first.metadata["gloss"]) == (
        "bora_es",
        "nuhba",
        "sol, luna",
    )
    assert (example.metadata["lemma"], example.metadata["gloss"]) == ("Nuhba.", "Hay sol.")


def test_a_phrase_pair_becomes_one_document() -> None:
    pair = {"bora_text": "¿Kiá?", "spanish_text": "¿Dónde?", "direction": "bora_es", "category": "Ubicación",
            "difficulty_level": 1, "usage_context": "Preguntar"}  # fmt: skip
    (document,) = read_records([pair]).documents
    assert (document.kind, document.metadata["lemma"], document.metadata["gloss"]) == ("phrase", "¿Kiá?", "¿Dónde?")
    assert document.metadata["difficulty_level"] == 1


def test_an_entry_printed_twice_is_one_document() -> None:
    parsed = read_records([entry(), entry()])
    assert (len(parsed.documents), parsed.repeated, parsed.problems) == (1, 1, [])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("text", "not an object"),
        (None, "not an object"),
        ({}, "neither a dictionary entry"),
        ({"lemma": "sol"}, "neither a dictionary entry"),
        (entry(" "), "lemma: empty"),
        (entry(lemma=["a", 1]), "lemma: a text is expected"),
        (entry(gloss=7), "gloss_bora: a text is expected"),
        (entry(variants="x") | {"variants": [1]}, "variants: a list of texts"),
        (entry("a\0b"), "null character"),
        (entry("a\ud800b"), "unpaired surrogate"),
        (entry("x" * 200_000), "longer than"),
        (entry() | {"gloss_es": "sol"}, "exclude each other"),
        ({"bora_text": "", "spanish_text": "sol"}, "empty"),
        ({"bora_text": "a", "spanish_text": "b", "direction": "up"}, "direction"),
    ],
)
def test_a_bad_record_is_reported_with_its_place_and_the_others_are_kept(record: Any, reason: str) -> None:
    parsed = read_records([entry("luna", "nuhba"), record, entry("río", "teeji")])
    assert [doc.metadata["lemma"] for doc in parsed.documents] == ["luna", "río"]
    assert [problem.index for problem in parsed.problems] == [1]
    assert reason in parsed.problems[0].reason


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("examples", [{"es": "solo una"}]),
        ("examples", [{"es": 1, "bora": 2}]),
        ("examples", "no list"),
        ("examples", ["no object"]),
        ("subentries", [{"lemma": "sin glosa"}]),
        ("subentries", [{"gloss_bora": "sin lema"}]),
        ("subentries", 5),
    ],
)
def test_a_bad_part_is_reported_and_its_entry_kept(part: str, value: Any) -> None:
    parsed = read_records([entry() | {part: value}])
    assert [doc.metadata["part"] for doc in parsed.documents] == ["entry"]
    assert len(parsed.problems) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1, 2", "not JSON, line 1"),
        (b'{"lemma": "sol"}', "a list of entries is expected"),
        (b"", "not JSON"),
        (b'["\xff"]', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"lemma": ' + b"9" * 5_000 + b"}]", "thousands of digits"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=reason) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_an_unknown_format_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text("x", encoding="utf-8")
    for name, reason in (("none.json", "no such file"), ("x.xyz", "unknown format"), (".", r"\w")):
        with pytest.raises(UnreadableFile, match=reason):
            read_file(tmp_path / name)


DOCUMENTS = [Document(f"{number:02}", "text", f"texto número {number}") for number in range(10)]


@pytest.mark.anyio
async def test_documents_get_their_vectors_and_a_second_run_changes_nothing(store: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    ingestor = DocumentIngestor(store, embedder, embed_batch=4)
    first = await ingestor.ingest(DOCUMENTS)
    assert (first.inserted, first.vectors.embedded, first.vectors.pending) == (10, 10, 0)
    calls = len(embedder.calls)
    second = await ingestor.ingest(DOCUMENTS)
    assert (second.unchanged, second.vectors.embedded) == (10, 0)
    assert len(embedder.calls) == calls + 1


@pytest.mark.anyio
async def test_progress_is_reported_for_both_stages(store: SupabaseAdapter) -> None:
    steps: list[Progress] = []
    await DocumentIngestor(store, FakeEmbedder(), store_batch=6, embed_batch=5).ingest(DOCUMENTS, steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("store", 6, 10),
        ("store", 10, 10),
        ("embed", 5, 10),
        ("embed", 10, 10),
    ]


@pytest.mark.anyio
async def test_the_documents_of_a_record_are_never_split_over_two_transactions(store: SupabaseAdapter) -> None:
    steps: list[Progress] = []
    records = [DOCUMENTS[:3], DOCUMENTS[3:6], DOCUMENTS[6:10]]
    await DocumentIngestor(store, None, store_batch=5).ingest_records(records, steps.append)
    assert [step.done for step in steps] == [3, 6, 10]
