"""A load that is cut off anywhere: nothing is half-written, and the same command goes on."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.supabase_adapter import SupabaseAdapter
from services.library.formats import read_file
from services.library.index import LibraryIndex
from services.library.ingestion import STORE_BATCH
from services.library.sources import source_name
from tests.backend_process import wait_until
from tests.fake_llm_service import FakeLLMService
from tests.library.ingest_command import count, ingest, rows, start, write
from tests.searches import search

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole process groups only")
DOCUMENTS = 400
LARGE = 1_200
"""Enough that the vector indexes are built at the end."""
NO_VECTOR, WITH_VECTOR = "embedding_fingerprint IS NULL", "embedding_fingerprint IS NOT NULL"


@pytest.fixture
def service(service: FakeLLMService) -> FakeLLMService:
    """Slow enough to be interrupted while it makes vectors."""
    service.embed_delay_s = 0.1
    return service


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    words: list[dict[str, Any]] = [{"lemma": f"palabra{n}", "gloss_bora": f"glosa{n}"} for n in range(DOCUMENTS)]
    return write(tmp_path / "dictionary.json", words)


def end(process: "subprocess.Popen[str]", how: int) -> str:
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return errors


@posix_only
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL] if sys.platform != "win32" else [signal.SIGINT])
def test_a_load_cut_off_in_a_batch_keeps_whole_records_and_is_resumed(
    database_url: str, tmp_path: Path, how: int
) -> None:
    sentence = [{"es": "una frase", "bora": "otra"}]
    words: list[dict[str, Any]] = [
        {"lemma": f"palabra{n}", "gloss_bora": f"glosa{n}", "examples": sentence, "subentries": []} for n in range(700)
    ]
    file = write(tmp_path / "dictionary.json", words)
    ids = [document.id for document in read_file(file, source_name(file)).documents]
    ingest(database_url, write(tmp_path / "first.json", words[:1]), "--no-embed")
    with psycopg.connect(database_url) as blocker:
        # Somebody else writes a document of the second batch: the command waits there.
        blocker.execute(
            "INSERT INTO rag_documents (id, kind, content, content_hash) VALUES (%s, 'text', 'x', 'x')",
            [ids[STORE_BATCH + 200]],
        )
        process = start(database_url, file, "--no-embed")
        wait_until(lambda: rows(database_url, "SELECT 1 FROM pg_locks WHERE NOT granted"), process)
        errors = end(process, how)
        blocker.rollback()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'bora-backend'"
    wait_until(lambda: not rows(database_url, waiting))
    of_file = "metadata ->> 'source' LIKE '%%/dictionary.json'"
    assert count(database_url, of_file) == STORE_BATCH
    parts = rows(database_url, f"SELECT count(*) FROM rag_documents WHERE {of_file} GROUP BY metadata ->> 'part'")
    assert [number for (number,) in parts] == [STORE_BATCH // 2] * 2
    assert "Traceback" not in errors
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again to continue" in errors
    again = ingest(database_url, file, "--no-embed")
    assert f"{1_400 - STORE_BATCH} new, 0 changed, {STORE_BATCH} unchanged" in again.stdout


@posix_only
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL] if sys.platform != "win32" else [signal.SIGINT])
def test_vectors_that_were_made_before_an_interruption_are_not_made_again(
    database_url: str, dictionary: Path, service: FakeLLMService, how: int
) -> None:
    process = start(database_url, dictionary, LLM_SERVICE_URL=service.url)
    wait_until(lambda: len(service.calls) > 2 and count(database_url, WITH_VECTOR), process)
    errors = end(process, how)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in errors
    missing = count(database_url, NO_VECTOR)
    assert 0 < missing < DOCUMENTS
    again = ingest(database_url, dictionary, LLM_SERVICE_URL=service.url)
    assert f"{DOCUMENTS} unchanged" in again.stdout
    assert f"vectors: {missing} made, 0 missing" in again.stdout


@posix_only
def test_a_large_load_that_is_killed_leaves_everything_found_and_the_next_run_builds_the_index(
    database_url: str, tmp_path: Path, service: FakeLLMService
) -> None:
    words = [{"lemma": f"palabra{n}", "gloss_bora": f"glosa{n}"} for n in range(LARGE)]
    file = write(tmp_path / "large.json", words)
    process = start(database_url, file, LLM_SERVICE_URL=service.url)
    wait_until(lambda: count_if_made(database_url, WITH_VECTOR), process)
    end(process, signal.SIGKILL)
    assert indexes(database_url) == []
    ((content, vector, fingerprint),) = rows(
        database_url,
        f"SELECT content, embedding::text, embedding_fingerprint FROM rag_documents WHERE {WITH_VECTOR} LIMIT 1",
    )
    assert content in asyncio.run(nearest(database_url, json.loads(vector), fingerprint))
    again = ingest(database_url, file, LLM_SERVICE_URL=service.url)
    assert "0 missing" in again.stdout, again.stderr
    assert re.search(r"rates: \d+ documents/s, \d+ vectors/s", again.stdout)
    assert indexes(database_url) == [("rag_documents_embedding", True), ("rag_documents_text_embedding", True)]


def count_if_made(database_url: str, condition: str) -> int:
    made = rows(database_url, "SELECT to_regclass('rag_documents') IS NOT NULL") == [(True,)]
    return count(database_url, condition) if made else 0


def indexes(database_url: str) -> list[Any]:
    """Return the vector indexes and whether they are complete."""
    return rows(
        database_url,
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relname LIKE '%%_embedding' ORDER BY 1",
    )


async def nearest(database_url: str, vector: list[float], fingerprint: str) -> list[str]:
    store = SupabaseAdapter(database_url, LibraryIndex())
    try:
        return [hit.content for hit in await search(store, "nadaparecido", vector, fingerprint)]
    finally:
        await store.close()


@posix_only
def test_an_index_that_was_not_finished_is_built_anew(
    database_url: str, dictionary: Path, service: FakeLLMService
) -> None:
    ingest(database_url, dictionary, "--no-embed")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP INDEX rag_documents_embedding")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rag_documents_text_embedding'::regclass"
        )
    ingest(database_url, dictionary, LLM_SERVICE_URL=service.url)
    assert indexes(database_url) == [("rag_documents_embedding", True), ("rag_documents_text_embedding", True)]


@posix_only
def test_a_change_of_models_cut_off_midway_is_finished_by_the_next_run(
    database_url: str, dictionary: Path, service: FakeLLMService
) -> None:
    ingest(database_url, dictionary, LLM_SERVICE_URL=service.url)
    service.fingerprint = "another"
    process = start(database_url, dictionary, LLM_SERVICE_URL=service.url)
    wait_until(lambda: count(database_url, "embedding_fingerprint = 'another'"), process)
    end(process, signal.SIGKILL)
    old = count(database_url, "embedding_fingerprint <> 'another'")
    assert 0 < old < DOCUMENTS
    again = ingest(database_url, dictionary, LLM_SERVICE_URL=service.url).stdout
    assert "the embedding model is another one than before" in again
    assert f"vectors: {old} made, 0 missing" in again
    assert rows(database_url, "SELECT DISTINCT embedding_fingerprint FROM rag_documents") == [("another",)]


def test_vectors_of_another_length_are_refused_until_the_length_is_set(
    database_url: str, dictionary: Path, service: FakeLLMService
) -> None:
    ingest(database_url, dictionary, LLM_SERVICE_URL=service.url)
    service.fingerprint, service.mode = "short", "short_vectors"
    refused = ingest(database_url, dictionary, LLM_SERVICE_URL=service.url)
    assert "vectors: 0 made" in refused.stdout
    assert "not 384 numbers long" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert count(database_url, "embedding_fingerprint = 'short'") == 0
    set_right = ingest(database_url, dictionary, LLM_SERVICE_URL=service.url, EMBEDDING_DIMENSION="3")
    assert f"vectors: {DOCUMENTS} made, 0 missing" in set_right.stdout
