"""The rehearsal of docs/operations.md: documents saved, lost, restored, and found as before."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.ports.documents import Document, SearchHit
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT
from postgres_server import postgres
from scripts import backup as script
from services.library.index import LibraryIndex
from tests.library.ingest_command import count, environment, ingest, really, rows, run_here
from tests.searches import search

pytestmark = pytest.mark.anyio

SCRIPT = BACKEND_ROOT / "scripts" / "backup.py"
LEXICON = BACKEND_ROOT / "data" / "sample_lexicon.json"
FINGERPRINT = "model@1"
DIMENSION = 384
QUESTIONS = ("¿Cómo se dice perro en bora?", "animal que ladra", "line", "¿Qué significa oohííbye?")


def backup(database_url: str | None, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    return run_here(script.main, "backup.py", arguments, environment(database_url or "", **more))


def really_backup(database_url: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return really([sys.executable, str(SCRIPT), *map(str, arguments)], environment(database_url))


def everything(database_url: str) -> list[Any]:
    """All that searching reads, generated columns included."""
    columns = "id, kind, content, metadata, lemma_keys, gloss_keys, near_keys, words, embedding, embedding_fingerprint"
    return rows(database_url, f"SELECT {columns} FROM rag_documents ORDER BY id")


def vector(text: str) -> list[float]:
    return [float(len(text) % 7 + 1), *([0.25] * (DIMENSION - 1))]


async def fill(database_url: str) -> None:
    """Store the sample lexicon with a vector for each entry, and characters that COPY has to escape."""
    assert ingest(database_url, "--no-embed", LEXICON).returncode == 0
    store = SupabaseAdapter(database_url, LibraryIndex(), dimension=DIMENSION)
    await store.start()
    try:
        await store.upsert([Document("odd", "text", "tab\there \\N line\nbreak ɨ́ \\. end")])
        while pending := await store.pending(FINGERPRINT, 500):
            await store.set_vectors([key for key, _ in pending], [vector(text) for _, text in pending], FINGERPRINT)
    finally:
        await store.close()


async def searches(database_url: str) -> list[list[SearchHit]]:
    """What some questions find, by words and by vectors."""
    store = SupabaseAdapter(database_url, LibraryIndex(), dimension=DIMENSION)
    await store.start()
    try:
        return [await search(store, question, vector(question), FINGERPRINT) for question in QUESTIONS]
    finally:
        await store.close()


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    """A database with the sample lexicon; each test leaves it as it was."""
    with postgres().database() as url:
        asyncio.run(fill(url))
        yield url


@pytest.fixture(scope="module")
def original(filled: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of that database."""
    file = tmp_path_factory.mktemp("backup") / "a backup.zip"
    done = really_backup(filled, "save", file)
    assert done.returncode == 0, done.stderr
    assert f"{count(filled)} documents, {count(filled)} with vectors" in done.stdout
    return file


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """A copy of the backup that a test may change."""
    return Path(shutil.copy(original, tmp_path))


async def test_a_database_restored_elsewhere_answers_as_the_first_one_did(
    filled: str, saved: Path, tmp_path: Path, short_folder: Path
) -> None:
    # A second server, embedded and new, as on the machine that takes over.
    other = {"DATABASE_URL": "", "DATA_DIR": str(short_folder)}
    done = backup(None, "restore", saved, **other)
    assert done.returncode == 0, done.stderr
    server = EmbeddedPostgres(short_folder)
    await server.start()
    try:
        url = await server.uri()
        assert everything(url) == everything(filled)
        words = "SELECT * FROM rag_words ORDER BY language, place, word, document_id"
        assert rows(url, words) == rows(filled, words) != []
        found = await searches(url)
        assert found == await searches(filled)
        assert all(found)
        assert {name for hits in found for hit in hits for name in hit.matched_on} >= {"vector", "lemma"}
    finally:
        await server.stop()


def test_what_was_lost_or_changed_since_comes_back(filled: str, saved: Path) -> None:
    before = everything(filled)
    with psycopg.connect(filled) as connection:
        connection.execute("DELETE FROM rag_documents WHERE id <> 'odd'")
        connection.execute("UPDATE rag_documents SET content = 'damaged'")
    refused = backup(filled, "restore", saved)
    assert refused.returncode == 1
    assert "holds 1 documents already; --replace" in refused.stderr
    assert count(filled) == 1
    assert backup(filled, "restore", saved, "--replace").returncode == 0
    assert everything(filled) == before


@pytest.mark.parametrize("damage", ["cut off", "changed", "no backup"])
def test_a_damaged_file_changes_nothing(filled: str, saved: Path, damage: str) -> None:
    before = everything(filled)
    whole = saved.read_bytes()
    if damage == "cut off":
        saved.write_bytes(whole[: len(whole) // 2])
    elif damage == "changed":
        middle = len(whole) // 3
        saved.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    else:
        with zipfile.ZipFile(saved, "w") as archive:
            archive.writestr("holiday.txt", "photos")
    done = backup(filled, "restore", saved, "--replace")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert everything(filled) == before


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [
        ("format", 2, "update the backend"),
        ("schema_version", 1, "with the version of the backend that made it"),
        ("schema_version", 99, "with the version of the backend that made it"),
        ("dimension", 768, "EMBEDDING_DIMENSION is 384"),
        ("documents", 3, "lists 3 documents"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(filled: str, saved: Path, field: str, value: int, seen: str) -> None:
    before = everything(filled)
    with zipfile.ZipFile(saved) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(content["manifest.json"]) | {field: value}
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("documents.copy", content["documents.copy"])
    done = backup(filled, "restore", saved, "--replace")
    assert done.returncode == 1
    assert seen in done.stderr
    assert everything(filled) == before


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


def test_a_database_that_is_away_is_one_line_without_its_password(tmp_path: Path) -> None:
    done = really_backup("postgresql://bora:hunter2@127.0.0.1:9/postgres", "save", tmp_path / "new.zip")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["fly"], ["save"], ["restore", "missing.zip"], ["save", "a", "--replace"]])
def test_wrong_usage_shows_the_usage(arguments: list[str]) -> None:
    done = backup(None, *arguments)
    assert done.returncode == 2
    assert "usage: backup.py" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_nobody_else_may_read_a_backup(original: Path) -> None:
    assert original.stat().st_mode & 0o077 == 0
