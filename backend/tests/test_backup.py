"""The rehearsal of docs/operations.md: documents saved, lost, restored, and found as before."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.base import Document, SearchHit
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT
from services.query_parser import parse_query
from tests.ingest_command import count, environment, ingest, rows

pytestmark = pytest.mark.anyio

SCRIPT = BACKEND_ROOT / "scripts" / "backup.py"
LEXICON = BACKEND_ROOT / "data" / "sample_lexicon.json"
FINGERPRINT = "model@1"
DIMENSION = 384
QUESTIONS = ("¿Cómo se dice perro en bora?", "animal que ladra", "line", "¿Qué significa oohííbye?")


def backup(database_url: str | None, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    variables = environment(database_url or "", **more)
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=variables, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


def everything(database_url: str) -> list[Any]:
    """All that searching reads, generated columns included."""
    columns = "id, kind, content, metadata, lemma_keys, gloss_keys, near_keys, words, embedding, embedding_fingerprint"
    return rows(database_url, f"SELECT {columns} FROM rag_documents ORDER BY id")


def vector(text: str) -> list[float]:
    return [float(len(text) % 7 + 1), *([0.25] * (DIMENSION - 1))]


async def fill(database_url: str) -> None:
    """Store the sample lexicon with a vector for each entry, and characters that COPY has to escape."""
    assert ingest(database_url, "--no-embed", LEXICON).returncode == 0
    store = SupabaseAdapter(database_url, dimension=DIMENSION)
    await store.start()
    try:
        await store.upsert([Document("odd", "text", "tab\there \\N line\nbreak ɨ́ \\. end")])
        while pending := await store.pending(FINGERPRINT, 500):
            await store.set_vectors([key for key, _ in pending], [vector(text) for _, text in pending], FINGERPRINT)
    finally:
        await store.close()


async def searches(database_url: str) -> list[list[SearchHit]]:
    """What some questions find, by words and by vectors."""
    store = SupabaseAdapter(database_url, dimension=DIMENSION)
    await store.start()
    try:
        return [await store.search(parse_query(question), vector(question), FINGERPRINT, 5) for question in QUESTIONS]
    finally:
        await store.close()


@pytest.fixture
def saved(database_url: str, tmp_path: Path) -> Path:
    """A backup of the sample lexicon, which is in the database, too."""
    asyncio.run(fill(database_url))
    file = tmp_path / "a backup.zip"
    done = backup(database_url, "save", file)
    assert done.returncode == 0, done.stderr
    assert f"{count(database_url)} documents, {count(database_url)} with vectors" in done.stdout
    return file


async def test_a_database_restored_elsewhere_answers_as_the_first_one_did(
    database_url: str, saved: Path, tmp_path: Path, short_folder: Path
) -> None:
    # A second server, embedded and new, as on the machine that takes over.
    other = {"DATABASE_URL": "", "DATA_DIR": str(short_folder)}
    done = backup(None, "restore", saved, **other)
    assert done.returncode == 0, done.stderr
    server = EmbeddedPostgres(short_folder)
    await server.start()
    try:
        url = await server.uri()
        assert everything(url) == everything(database_url)
        found = await searches(url)
        assert found == await searches(database_url)
        assert all(found)
        assert {name for hits in found for hit in hits for name in hit.matched_on} >= {"vector", "lemma"}
    finally:
        await server.stop()


def test_what_was_lost_or_changed_since_comes_back(database_url: str, saved: Path) -> None:
    before = everything(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM rag_documents WHERE id <> 'odd'")
        connection.execute("UPDATE rag_documents SET content = 'damaged'")
    refused = backup(database_url, "restore", saved)
    assert refused.returncode == 1
    assert "holds 1 documents already; --replace" in refused.stderr
    assert count(database_url) == 1
    assert backup(database_url, "restore", saved, "--replace").returncode == 0
    assert everything(database_url) == before


@pytest.mark.parametrize("damage", ["cut off", "changed", "no backup"])
def test_a_damaged_file_changes_nothing(database_url: str, saved: Path, damage: str) -> None:
    before = everything(database_url)
    whole = saved.read_bytes()
    if damage == "cut off":
        saved.write_bytes(whole[: len(whole) // 2])
    elif damage == "changed":
        middle = len(whole) // 3
        saved.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    else:
        with zipfile.ZipFile(saved, "w") as archive:
            archive.writestr("holiday.txt", "photos")
    done = backup(database_url, "restore", saved, "--replace")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert everything(database_url) == before


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [
        ("format", 2, "update the backend"),
        ("schema_version", 1, "with the version of the backend that made it"),
        ("schema_version", 99, "with the version of the backend that made it"),
        ("dimension", 768, "EMBEDDING_DIMENSION is 384"),
        ("documents", 3, "promises 3 documents"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(database_url: str, saved: Path, field: str, value: int, seen: str) -> None:
    before = everything(database_url)
    with zipfile.ZipFile(saved) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(content["manifest.json"]) | {field: value}
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("documents.copy", content["documents.copy"])
    done = backup(database_url, "restore", saved, "--replace")
    assert done.returncode == 1
    assert seen in done.stderr
    assert everything(database_url) == before


def test_a_backup_is_never_written_over_a_file_and_nothing_is_left_when_it_fails(
    database_url: str, tmp_path: Path
) -> None:
    existing = tmp_path / "precious"
    existing.write_text("precious", encoding="utf-8")
    assert backup(database_url, "save", existing).returncode == 2
    assert existing.read_text(encoding="utf-8") == "precious"
    done = backup(database_url, "save", tmp_path / "new.zip")
    assert done.returncode == 1
    assert "no documents of the backend" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_database_that_is_away_is_told_in_a_line_without_its_password(tmp_path: Path) -> None:
    done = backup("postgresql://bora:hunter2@127.0.0.1:9/postgres", "save", tmp_path / "new.zip")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["fly"], ["save"], ["restore", "missing.zip"], ["save", "a", "--replace"]])
def test_wrong_usage_is_told(database_url: str, arguments: list[str]) -> None:
    done = backup(database_url, *arguments)
    assert done.returncode == 2
    assert "usage: backup.py" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_nobody_else_may_read_a_backup(saved: Path) -> None:
    assert saved.stat().st_mode & 0o077 == 0
