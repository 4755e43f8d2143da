"""The ingest command: what it prints, what it changes, and what it leaves alone."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.library.sources import source_name
from tests.library.ingest_command import command, count, environment, ingest, really, rows, write


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    entries: list[dict[str, Any]] = [
        {"lemma": f"palabra{number}", "pos": "m.", "gloss_bora": f"glosa{number}"} for number in range(50)
    ]
    return write(tmp_path / "dictionary.json", [*entries, {"lemma": "sin nada"}])


def test_loads_a_file_and_changes_nothing_the_second_time(database_url: str, dictionary: Path) -> None:
    first = really(command(dictionary, "--no-embed"), environment(database_url))
    assert first.returncode == 0, first.stderr
    assert "50 new, 0 changed, 0 unchanged; 1 left out" in first.stdout
    assert "record 50: neither" in first.stderr
    second = ingest(database_url, dictionary, "--no-embed")
    assert "0 new, 0 changed, 50 unchanged" in second.stdout
    assert count(database_url) == 50


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
def test_a_terminal_shows_progress_with_rate_and_time_left(database_url: str, dictionary: Path) -> None:
    import termios

    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = subprocess.Popen(
        command(dictionary, "--no-embed"), env=environment(database_url), stderr=terminal, stdout=subprocess.DEVNULL
    )
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:  # Linux: the last one to hold the terminal's other end has gone
        pass
    finally:
        os.close(master)
    assert process.wait(60) == 0
    assert b"documents: 100%" in shown
    assert b"50/50" in shown
    assert b"docs/s" in shown


def test_what_left_a_file_is_counted_and_removed_with_prune(database_url: str, tmp_path: Path) -> None:
    words = [{"lemma": name, "gloss_bora": f"{name}x"} for name in ("uno", "dos", "tres")]
    file = write(tmp_path / "words.json", words)
    other = write(tmp_path / "other.json", words)
    ingest(database_url, file, other, "--no-embed")
    write(file, words[:1])
    reported = ingest(database_url, file, "--no-embed")
    assert "2 documents of an earlier load are no longer in it; --prune removes them" in reported.stdout
    assert count(database_url) == 6
    pruned = ingest(database_url, file, "--no-embed", "--prune")
    assert "2 documents of an earlier load are no longer in it and were removed" in pruned.stdout
    assert (count(database_url, "metadata ->> 'source' LIKE '%%/words.json'"), count(database_url)) == (1, 4)


def test_a_file_in_which_nothing_can_be_read_prunes_nothing(database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "words.json", [{"lemma": "sol", "gloss_bora": "nuhba"}])
    ingest(database_url, file, "--no-embed")
    write(file, [])
    result = ingest(database_url, file, "--no-embed", "--prune")
    assert "the 1 documents of an earlier load stay" in result.stderr
    assert count(database_url) == 1


def test_documents_of_the_api_under_a_files_name_are_not_pruned(database_url: str, dictionary: Path) -> None:
    ingest(database_url, dictionary, "--no-embed")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO rag_documents (id, kind, content, content_hash, metadata) "
            "VALUES ('mine', 'text', 'x', 'x', jsonb_build_object('source', %s::text))",
            [source_name(dictionary)],
        )
    result = ingest(database_url, dictionary, "--no-embed", "--prune")
    assert "earlier load" not in result.stdout
    assert count(database_url) == 51


def test_a_source_is_dropped_by_its_name(database_url: str, tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", [{"lemma": "sol", "gloss_bora": "nuhba"}])
    ingest(database_url, old, "--no-embed")
    name = source_name(old)
    result = ingest(database_url, old, "--no-embed", "--source", "new", "--drop-source", name)
    assert f"{name}: 1 documents removed" in result.stdout
    assert rows(database_url, "SELECT metadata ->> 'source' FROM rag_documents") == [("new",)]


def test_two_files_of_one_name_in_two_folders_stay_apart(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "words.json", [{"lemma": "sol", "gloss_bora": f"nuhba {folder}"}])
    monkeypatch.chdir(tmp_path / "b")
    for file in (Path("../a/words.json"), Path("words.json")):
        assert "1 new, 0 changed, 0 unchanged" in ingest(database_url, file, "--no-embed", "--prune").stdout
    monkeypatch.chdir(tmp_path)
    again = ingest(database_url, "a/words.json", "b/words.json", "--no-embed", "--prune").stdout
    assert again.count("0 new, 0 changed, 1 unchanged") == 2
    assert rows(database_url, "SELECT metadata ->> 'source', content FROM rag_documents ORDER BY 1") == [
        ("a/words.json", "sol: nuhba a"),
        ("b/words.json", "sol: nuhba b"),
    ]


def test_two_files_of_one_source_are_refused_before_anything_is_stored(database_url: str, tmp_path: Path) -> None:
    files = []
    for folder in (tmp_path / "one" / "a", tmp_path / "two" / "a"):
        folder.mkdir(parents=True)
        files.append(write(folder / "words.json", [{"lemma": "sol", "gloss_bora": "n"}]))
    result = ingest(database_url, *files, "--no-embed")
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert "--source" in result.stderr


def test_a_file_that_was_stored_under_its_name_alone_is_known_again(database_url: str, tmp_path: Path) -> None:
    words = [{"lemma": name, "gloss_bora": f"{name}x"} for name in ("uno", "dos", "tres")]
    mine, other = tmp_path / "a", tmp_path / "b"
    for folder in (mine, other):
        folder.mkdir()
    file = write(mine / "words.json", words)
    ingest(database_url, file, "--no-embed", "--source", "words.json")
    write(file, [*words[:2], {"lemma": "tres", "gloss_bora": "corregido"}])
    assert "words.json: 0 new, 1 changed, 2 unchanged" in ingest(database_url, file, "--no-embed").stdout
    dialect = write(other / "words.json", [{**word, "gloss_bora": "otro"} for word in words])
    assert "b/words.json: 3 new, 0 changed, 0 unchanged" in ingest(database_url, dialect, "--no-embed").stdout


def test_many_problems_are_counted_and_shown_with_verbose(database_url: str, tmp_path: Path) -> None:
    file = write(tmp_path / "words.json", [{"lemma": "sol", "gloss_bora": "nuhba"}, *[{}] * 30])
    short = ingest(database_url, file, "--no-embed").stderr
    assert "and 10 more" in short
    assert "record 30" not in short
    assert "record 30" in ingest(database_url, file, "--no-embed", "--verbose").stderr


def test_every_format_is_loaded_by_its_name(database_url: str, tmp_path: Path) -> None:
    files = {
        "words.json": '[{"lemma": "sol", "gloss_bora": "nuhba"}]',
        "words.jsonl": '{"lemma": "sol", "gloss_bora": "nuhba"}\n',
        "words.csv": "es,bora\nsol,nuhba\n",
        "words.tsv": "bora\tes\nnuhba\tsol\n",
        "notes.md": "# Sol\n\nEl sol se dice nuhba.\n",
        "notes.txt": "El sol se dice nuhba.\n",
    }
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_text(files[path.name], encoding="utf-8")
    result = ingest(database_url, *paths, "--no-embed")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("1 new, 0 changed, 0 unchanged; 0 left out") == len(files)
    kinds = "SELECT kind, count(*) FROM rag_documents GROUP BY kind ORDER BY kind"
    assert rows(database_url, kinds) == [("dictionary", 4), ("text", 2)]


def test_without_the_llm_service_documents_are_loaded_and_missing_vectors_are_counted(
    database_url: str, dictionary: Path
) -> None:
    result = ingest(database_url, dictionary)
    assert result.returncode == 0, result.stderr
    assert "vectors: 0 made, 50 missing" in result.stdout
    assert "warning: vectors are missing" in result.stderr
    assert count(database_url) == 50


@pytest.mark.parametrize("name", ["missing.json", "broken.json", "broken.csv"])
def test_a_bad_file_is_one_line_and_nothing_is_loaded(
    database_url: str, dictionary: Path, tmp_path: Path, name: str
) -> None:
    for broken in ("broken.json", "broken.csv"):
        (tmp_path / broken).write_text("[{]", encoding="utf-8")
    result = ingest(database_url, dictionary, tmp_path / name)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert name in result.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('rag_documents')").fetchone() == (None,)


def test_a_database_that_is_away_is_reported_without_a_stack_trace(dictionary: Path) -> None:
    nowhere = environment("postgresql://nobody@127.0.0.1:9/none", DATABASE_TIMEOUT="1")
    result = really(command(dictionary, "--no-embed"), nowhere)
    assert result.returncode == 1
    assert "the database did not answer" in result.stderr
    assert "Traceback" not in result.stderr
