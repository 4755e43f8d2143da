"""The ingest command as a user runs it: a process, a database, a LLM service that is not there."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "ingest.py"


def environment(database_url: str, **more: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url,
        "ENV_FILES": "none",
        "LLM_SERVICE_URL": "http://127.0.0.1:9",
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def ingest(database_url: str, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=environment(database_url, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def count(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM rag_documents").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    entries: list[dict[str, Any]] = [
        {"lemma": f"palabra{number}", "pos": "m.", "gloss_bora": f"glosa{number}"} for number in range(50)
    ]
    path = tmp_path / "dictionary.json"
    path.write_text(json.dumps([*entries, {"lemma": "sin nada"}]), encoding="utf-8")
    return path


def test_loads_a_file_shows_progress_and_changes_nothing_the_second_time(database_url: str, dictionary: Path) -> None:
    first = ingest(database_url, dictionary, "--no-embed")
    assert first.returncode == 0, first.stderr
    assert "50 new, 0 changed, 0 unchanged; 1 left out" in first.stdout
    assert "record 50" in first.stderr
    assert "50/50" in first.stderr
    second = ingest(database_url, dictionary, "--no-embed")
    assert "0 new, 0 changed, 50 unchanged" in second.stdout
    assert count(database_url) == 50


def test_without_the_llm_service_documents_are_loaded_and_the_missing_vectors_are_told(
    database_url: str, dictionary: Path
) -> None:
    result = ingest(database_url, dictionary)
    assert result.returncode == 0, result.stderr
    assert "vectors: 0 made, 50 missing" in result.stdout
    assert "warning: vectors are missing" in result.stderr
    assert count(database_url) == 50


@pytest.mark.parametrize("name", ["missing.json", "broken.json"])
def test_a_bad_file_is_one_line_and_nothing_is_loaded(
    database_url: str, dictionary: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "broken.json").write_text("[{]", encoding="utf-8")
    result = ingest(database_url, dictionary, tmp_path / name)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert name in result.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('rag_documents')").fetchone() == (None,)


def test_a_database_that_is_away_is_told_without_a_stack_trace(dictionary: Path) -> None:
    result = ingest("postgresql://nobody@127.0.0.1:9/none", dictionary, "--no-embed", DATABASE_TIMEOUT="1")
    assert result.returncode == 1
    assert "the database did not answer" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole process groups only")
def test_an_interrupted_load_says_so_and_is_resumed(database_url: str, dictionary: Path) -> None:
    with psycopg.connect(database_url) as connection:
        assert ingest(database_url, dictionary, "--no-embed").returncode == 0
        connection.execute("LOCK TABLE rag_documents IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(dictionary), "--no-embed"],
            env=environment(database_url),
            stderr=subprocess.PIPE,
            text=True,
        )
        with psycopg.connect(database_url, autocommit=True) as watcher:
            waiting = None
            while not waiting:
                assert process.poll() is None
                waiting = watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert ingest(database_url, dictionary, "--no-embed").returncode == 0
