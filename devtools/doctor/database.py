"""The doctor on the database: address, login, pgvector, version of the schema."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devtools import dotenv
from devtools.doctor.findings import Finding, ask_python, fail, ok, warn
from devtools.layout import Workspace
from devtools.setup.environments import why_unmade

_PROBE = Path(__file__).with_name("probe_database.py")
_LIMIT_S = 5
_ADDRESS = "check DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/NAME, the network and the firewall"


def database(workspace: Workspace) -> Iterator[Finding]:
    """Whether the configured database can be used as it is. Never shows the address's password."""
    configured = dotenv.configuration(workspace, workspace.backend)
    url = configured.get("DATABASE_URL")
    if not url:
        yield _embedded(workspace, configured)
        return
    if why_unmade(workspace.backend):
        yield ok("database", "DATABASE_URL is tried once the backend's environment is made")
        return
    asked = ("-I", "-X", "utf8", _PROBE, str(_LIMIT_S))
    secret = {"PROBE_DATABASE_URL": url}
    answers = ask_python(workspace.backend, *asked, limit_s=_LIMIT_S * 4, variables=secret)
    if not answers or "error" in answers:
        yield fail("database", answers.get("error", "no answer")[:300], _ADDRESS)
    else:
        yield from judge(workspace, answers)


def _embedded(workspace: Workspace, configured: Mapping[str, str]) -> Finding:
    folder = Path(configured.get("DATA_DIR") or workspace.data).expanduser()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return fail("database", f"{existing}, for the embedded Postgres, cannot be written", "correct DATA_DIR")
    return ok("database", f"the embedded Postgres, in {folder}")


def judge(workspace: Workspace, answers: Mapping[str, Any]) -> Iterator[Finding]:
    """The finding for the probe's answers."""
    yield ok("database", f"Postgres {answers['server']}: the login works")
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
