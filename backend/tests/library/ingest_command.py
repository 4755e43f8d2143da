"""The commands of ``scripts``, in this process or as a user runs them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from config.settings import BACKEND_ROOT, load_settings
from scripts import ingest as script
from tests.backend_process import NOBODY


def environment(database_url: str, **more: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url,
        "ENV_FILES": "none",
        "LLM_SERVICE_URL": NOBODY,
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def command(*arguments: Any) -> list[str]:
    return [sys.executable, str(BACKEND_ROOT / "scripts" / "ingest.py"), *map(str, arguments)]


def really(command: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, to its end."""
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )


def run_here(
    main: Callable[[Sequence[str]], int], name: str, arguments: Sequence[Any], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command's main in this process, which takes a tenth of the time; in a thread, since it has its own loop."""
    out, errors = io.StringIO(), io.StringIO()
    command = [str(argument) for argument in arguments]

    def run() -> Any:
        try:
            return main(command)
        except SystemExit as ending:
            return ending.code

    with (
        patch.dict(os.environ, variables),
        patch("config.settings.settings", load_settings([])),
        patch("sys.argv", [name]),
        redirect_stdout(out),
        redirect_stderr(errors),
        ThreadPoolExecutor(1) as pool,
    ):
        status = pool.submit(run).result()
    return subprocess.CompletedProcess(command, status, out.getvalue(), errors.getvalue())


def ingest(database_url: str, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    return run_here(script.main, "ingest.py", arguments, environment(database_url, **more))


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
