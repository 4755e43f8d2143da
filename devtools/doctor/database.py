"""The doctor on the database: address, login, pgvector, version of the schema."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devtools import dotenv
from devtools.doctor.asking import ask_python
from devtools.doctor.findings import Finding, fail, ok, warn
from devtools.doctor.network import connects
from devtools.layout import Workspace
from devtools.setup.environments import why_unmade

_PROBE = Path(__file__).with_name("probe_database.py")
_LIMIT_S = 5
_ADDRESS = "DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/NAME; for Supabase: Project Settings, Database"


def database(workspace: Workspace) -> Iterator[Finding]:
    """Whether the configured database can be used as it is. Never shows the address's password."""
    configured = dotenv.configuration(workspace, workspace.backend)
    url = configured.get("DATABASE_URL")
    if not url:
        yield _embedded(workspace, configured)
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        yield fail("database", "DATABASE_URL is not an address (special characters in the password?)", _ADDRESS)
        return
    if parts.scheme not in ("postgresql", "postgres"):
        yield fail("database", "DATABASE_URL is not a postgresql:// address", _ADDRESS)
        return
    # Without a host it is a socket on this machine, which only a login can try.
    if host and not connects(host, port):
        yield fail("database", f"{host}:{port} cannot be reached", "check the address, the network and the firewall")
        return
    place = f"{host}:{port}" if host else "the socket"
    answers: Mapping[str, Any] = {}
    if not why_unmade(workspace.backend):
        asked = ("-I", "-X", "utf8", _PROBE, str(_LIMIT_S))
        secret = {"PROBE_DATABASE_URL": url}
        answers = ask_python(workspace.backend, *asked, limit_s=_LIMIT_S * 4, variables=secret)
    if not answers:
        yield ok("database", f"{place} can be reached (the login needs the backend's environment)")
    elif "error" in answers:
        remedy = "correct the user, the password or the name in DATABASE_URL"
        yield fail("database", f"{place} answers, and refuses the login: {answers['error'][:300]}", remedy)
    else:
        yield from judge(workspace, answers, place)


def _embedded(workspace: Workspace, configured: Mapping[str, str]) -> Finding:
    folder = Path(configured.get("DATA_DIR") or workspace.data).expanduser()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return fail("database", f"{existing}, for the embedded Postgres, cannot be written", "correct DATA_DIR")
    return ok("database", f"the embedded Postgres, in {folder}")


def judge(workspace: Workspace, answers: Mapping[str, Any], place: str) -> Iterator[Finding]:
    """What the probe's answers mean for the backend."""
    yield ok("database", f"{place}, Postgres {answers['server']}: the login works")
    if answers["read_only"]:
        yield fail("database", "it can only be read (a standby?)", "DATABASE_URL must name the primary")
    if answers["vector"]:
        yield ok("pgvector", f"{answers['vector']} is installed in this database")
    elif answers["vector_available"]:
        yield warn(
            "pgvector",
            f"{answers['vector_available']} is there, not yet in this database; the backend adds it if its user may",
            "as an administrator of the database: CREATE EXTENSION vector",
        )
    else:
        yield fail("pgvector", "this Postgres does not have it", "install pgvector, or use a Postgres that has it")
    yield _schema(workspace, answers)


def _schema(workspace: Workspace, answers: Mapping[str, Any]) -> Finding:
    known = len(list((workspace.backend.folder / "migrations").glob("[0-9]*.sql")))
    version = answers.get("schema_version") or 0
    if version > known:
        return fail(
            "schema",
            f"the database has version {version}, this checkout knows {known}: the backend will refuse to start",
            "use the newer checkout, or a backup of before the upgrade in another database (docs/operations.md)",
        )
    if version == known:
        return ok("schema", f"version {version}, as this checkout needs it")
    if not answers["may_create"]:
        return fail(
            "schema",
            f"version {version} of {known}, and this user may not create tables",
            "let an administrator's backend start once, or GRANT CREATE ON SCHEMA public TO the user",
        )
    return ok("schema", f"version {version}; the backend brings it to {known} when it starts")
