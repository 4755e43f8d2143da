"""Configuration as a user meets it: a process, an environment, files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import BACKEND_ROOT, Settings, load_settings
from tests.backend_server import settings_for


def read(tmp_path: Path, *texts: str) -> Settings:
    files = []
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.env"
        file.write_text(text, encoding="utf-8")
        files.append(file)
    return load_settings(files)


def test_later_files_win_and_the_environment_beats_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = "LLM_MODEL=a\nLLM_TOP_P=0.5\nLLM_DTYPE=float32\n", "LLM_MODEL=b\nLLM_TOP_P=0.6\n"
    monkeypatch.setenv("LLM_TOP_P", "0.7")
    settings = read(tmp_path, first, second)
    assert (settings.llm_model, settings.llm_top_p, settings.llm_dtype) == ("b", 0.7, "float32")


def test_unknown_keys_are_ignored_and_empty_ones_are_unset(tmp_path: Path) -> None:
    settings = read(tmp_path, "\ufeffDATABASE_URL=\nBACKEND_API_KEY=\nLLM_BACKEND=openvino\nNOBODY_KNOWS=1\n")
    assert settings.database_url is None
    assert settings.backend_api_key is None


def test_several_service_addresses_are_understood(tmp_path: Path) -> None:
    settings = read(tmp_path, "LLM_SERVICE_URL=http://a:1/, http://b:2\nCORS_ORIGINS=http://x, http://y\n")
    assert settings.llm_service_urls == ("http://a:1", "http://b:2")
    assert settings.cors_origins == ["http://x", "http://y"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLM_TOP_P", "1.5"),
        ("LLM_TEMPERATURE", "nan"),
        ("LLM_SERVICE_TIMEOUT", "soon"),
        ("LLM_SERVICE_URL", "localhost:8001"),
        ("LLM_SERVICE_URL", "http://localhost:80001"),
        ("LLM_SERVICE_URL", "http://one:8001 http://two:8001"),
        ("LLM_SERVICE_URL", "http://localhost:8001?key=x"),
        ("LLM_DEVICE_MAP", "gpu"),
        ("DATABASE_URL", "postgres:secret@localhost/postgres"),
        ("DATABASE_URL", "postgresql://postgres:100%secret@localhost/postgres"),
        ("DATABASE_URL", "postgresql://postgres:se/cret@localhost/postgres"),
        ("LLM_OFFLINE_MODEL", "maybe"),
        ("CORS_ORIGINS", "[oops"),
        ("BACKEND_PORT", "70000"),
        ("BACKEND_HOST", "0.0.0.0"),
        ("EMBEDDING_DIMENSION", "3072"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^configuration error: [^\n]*{name}(?![^\n]*cret)[^\n]*$"):
        load_settings([])


def test_an_open_port_is_allowed_with_a_key(tmp_path: Path) -> None:
    assert read(tmp_path, "BACKEND_HOST=0.0.0.0\nBACKEND_API_KEY=k\n").backend_host == "0.0.0.0"


def test_the_start_ends_with_a_complaint_that_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("LLM_MODEL=first\n", encoding="utf-8")
    (tmp_path / "b.env").write_bytes("BACKEND_API_KEY=s3cret\n".encode("utf-16"))
    files = os.pathsep.join(str(tmp_path / name) for name in ("a.env", "b.env"))
    ended = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        env={**os.environ, "PYTHONPATH": str(BACKEND_ROOT), "ENV_FILES": files},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "UTF-8" in ended.stderr
    assert "b.env" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_the_persona_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mentor.txt"
    file.write_text("\ufeffEres Nuhba,\n una maestra  bora.\n", encoding="utf-8")
    assert Settings(_env_file=None, rag_persona_file=file).rag_persona == "Eres Nuhba, una maestra bora."  # type: ignore[call-arg]
    assert Settings(_env_file=None).rag_persona is None  # type: ignore[call-arg]


@pytest.mark.parametrize("content", [None, b"", b"  \n", "ñ".encode("latin-1"), b"x" * 1_001])
def test_a_persona_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "mentor.txt"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("RAG_PERSONA_FILE", str(file))
    with pytest.raises(SystemExit, match="RAG_PERSONA_FILE"):
        load_settings([])


def test_the_settings_know_their_secrets() -> None:
    settings = settings_for(
        backend_api_key="backend-key",
        llm_service_api_key="service-key",
        hf_token="hub-token",
        llm_service_url="http://u:pass%40word@a:1,https://only-token@b",
        database_url="postgresql://user:da%2Fta%20base@host/x?password=query-word",
    )
    assert set(settings.secrets) >= {
        *("backend-key", "service-key", "hub-token", "pass%40word", "pass@word", "only-token"),
        *("da%2Fta%20base", "da/ta base", "query-word"),
    }
    assert "key=value form" in settings_for(database_url="host=x password='key=value form' user=u").secrets
    assert settings_for(database_url="postgresql://user@host/x").secrets == ()
