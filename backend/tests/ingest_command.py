"""The ingest command as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "ingest.py"
NOBODY = "http://127.0.0.1:9"


def environment(database_url: str, **more: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url,
        "ENV_FILES": "none",
        "LLM_SERVICE_URL": NOBODY,
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def command(*arguments: Any) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def ingest(database_url: str, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(database_url, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def start(database_url: str, *arguments: Any, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments), env=environment(database_url, **more), stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def rows(database_url: str, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def count(database_url: str, condition: str = "true") -> int:
    return int(rows(database_url, f"SELECT count(*) FROM rag_documents WHERE {condition}")[0][0])


def write(path: Path, records: Any) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path
