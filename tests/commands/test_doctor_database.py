"""The doctor on the database: addresses that are none, and a real Postgres with something wrong in it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from conftest import Checkout
from devtools.doctor.database import database, judge
from devtools.layout import Workspace
from postgres_server import postgres


@pytest.fixture
def url() -> str:
    """The address of an empty database."""
    return postgres().new_database()


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


def test_a_database_that_is_well_is_reported_with_its_versions(asking: Checkout, url: str) -> None:
    found = asking.look(database, DATABASE_URL=url)
    assert "the login works" in found["ok"][0]
    assert found["ok"][1].startswith("schema: version 0; the backend brings it to 1")
    assert "pgvector: " in found["warn"][0]
    run(url, "CREATE EXTENSION vector", "CREATE TABLE rag_migrations (version integer)")
    run(url, "INSERT INTO rag_migrations VALUES (1)")
    found = asking.look(database, DATABASE_URL=url)
    assert "is installed in this database" in found["ok"][1]
    assert found["ok"][2].startswith("schema: version 1, as this checkout needs it")
    run(url, "INSERT INTO rag_migrations VALUES (7)")
    found = asking.look(database, DATABASE_URL=url)
    assert found["fail"][0].startswith("schema: the database has version 7, this checkout knows 1")


def test_a_login_that_is_refused_is_a_fault_and_its_password_stays_hidden(asking: Checkout, url: str) -> None:
    found = asking.look(database, DATABASE_URL=as_user(url, "nobody_here", "hunter2"))
    assert "nobody_here" in found["fail"][0]
    assert "hunter2" not in str(found)


def test_a_user_who_may_not_make_tables_or_only_read_is_a_fault(asking: Checkout, url: str) -> None:
    run(url, "CREATE ROLE visitor LOGIN", "ALTER ROLE visitor SET default_transaction_read_only = on")
    try:
        read_only, no_tables = asking.look(database, DATABASE_URL=as_user(url, "visitor"))["fail"]
    finally:
        run(url, "DROP ROLE visitor")
    assert read_only.startswith("database: it can only be read")
    assert no_tables.startswith("schema: version 0 of 1, and this user may not create tables")


def test_a_postgres_without_pgvector_is_a_fault(tmp_path: Path) -> None:
    answers = {
        "server": "17.2", "vector": None, "vector_available": None, "may_create": True, "read_only": False,
    }  # fmt: skip
    found = list(judge(Workspace(tmp_path), answers))
    assert [finding.subject for finding in found if finding.verdict == "fail"] == ["pgvector"]


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://bora:hunter2@127.0.0.1:9/postgres", "port 9 failed"),
        ("postgresql://user:hunter2]ss[word@nobody.invalid/x", "nobody.invalid"),
        ("postgresql://user:hunter2@host:port/x", "port"),
        ("mysql://user:hunter2@host/x", "cannot be parsed"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_fault_and_its_password_never_shown(
    asking: Checkout, url: str, seen: str
) -> None:
    found = asking.look(database, DATABASE_URL=url)
    assert seen in found["fail"][0]
    assert "hunter2" not in str(found)


def test_without_the_backends_environment_the_database_is_not_tried(bare_checkout: Checkout) -> None:
    found = bare_checkout.look(database, DATABASE_URL="postgresql://bora@127.0.0.1:9/postgres")
    assert "once the backend's environment is made" in found["ok"][0]


def test_a_folder_for_the_embedded_database_that_is_none_is_a_fault(bare_checkout: Checkout) -> None:
    occupied = bare_checkout.write("occupied", "a file")
    (fault,) = bare_checkout.look(database, DATA_DIR=str(occupied))["fail"]
    assert "cannot be written" in fault
    assert "correct DATA_DIR" in fault
