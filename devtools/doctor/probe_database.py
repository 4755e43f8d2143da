"""Looks at the backend's database from the backend's environment: `python -I probe_database.py SECONDS`.

The address comes in PROBE_DATABASE_URL, since other users can read command lines. Prints one JSON object; its
`error` holds the first line of what Postgres or the network says, never the password.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

_QUESTIONS = {
    "server": "SELECT current_setting('server_version')",
    "vector": "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'",
    "vector_available": "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'vector'",
    "may_create": "SELECT has_schema_privilege('public', 'CREATE')",
    "has_schema": "SELECT to_regclass('public.rag_migrations') IS NOT NULL",
    "read_only": "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean",
}


def look(url: str, limit_s: int) -> dict[str, Any]:
    """Answers every question; with `error` when the database cannot be asked."""
    answers: dict[str, Any] = {}
    # prepare_threshold None: a transaction pooler forgets prepared statements between two transactions.
    with psycopg.connect(url, connect_timeout=limit_s, prepare_threshold=None, autocommit=True) as connection:
        for name, question in _QUESTIONS.items():
            row = connection.execute(question.encode()).fetchone()
            answers[name] = row[0] if row else None
        if answers["has_schema"]:
            row = connection.execute("SELECT max(version) FROM public.rag_migrations").fetchone()
            answers["schema_version"] = row[0] if row else None
    return answers


def main() -> None:
    """Prints the answers."""
    url = os.environ["PROBE_DATABASE_URL"]
    try:
        answers = look(url, int(sys.argv[1]))
    except psycopg.Error as fault:
        text = " ".join(str(fault).split()) or type(fault).__name__
        answers = {"error": _without_password(text, url)}
    sys.stdout.write(json.dumps(answers) + "\n")


def _without_password(text: str, url: str) -> str:
    try:
        secret = conninfo_to_dict(url).get("password")
    except psycopg.Error:
        # The message quotes a connection string that cannot be parsed, with its password.
        return "the address cannot be parsed"
    return text.replace(str(secret), "***") if secret else text


if __name__ == "__main__":
    main()
