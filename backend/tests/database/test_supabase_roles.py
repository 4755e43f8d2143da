"""The SQL of docs/supabase.md in a database with the roles and default grants that Supabase makes."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from adapters.ports.documents import Document
from adapters.ports.reports import GivenReport
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import PROJECT_ROOT
from services.entries import word_list
from services.library.index import LibraryIndex
from tests.database.test_app_table import TABLES
from tests.library.ingest_command import ingest
from tests.searches import search

pytestmark = pytest.mark.anyio
PAGE = (PROJECT_ROOT / "docs" / "supabase.md").read_text(encoding="utf-8")
BLOCKS = {
    match[1]: match[2] for match in re.finditer(r"```sql\n\s*-- ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
}  # by the comment in their first line
VISITORS = ("anon", "authenticated")
ROLES = (*VISITORS, "service_role", "authenticator", "bora_backend", "project_owner")
READS = tuple(f"SELECT * FROM {table}" for table in ("rag_documents", "rag_words", "rag_reports", "rag_migrations"))
SEARCH = "SELECT * FROM rag_search_words('{}', '{}', '{}', '{}', '{}', '{}')"
WRITES = (
    "INSERT INTO rag_documents (id, kind, content, content_hash) VALUES ('x', 'text', 'x', 'x')",
    "UPDATE rag_documents SET content = 'x'",
    "DELETE FROM rag_documents",
    "TRUNCATE rag_documents",
    "INSERT INTO rag_migrations (version, name) VALUES (9999, 'x')",
    "DROP TABLE rag_documents",
)


@dataclass(frozen=True)
class Project:
    """A database as Supabase hands it over; ``owner`` is what it calls ``postgres``, who is no superuser there."""

    superuser: str

    def url(self, role: str) -> str:
        return make_conninfo(self.superuser, user=role)

    def run(self, role: str, statements: str) -> None:
        with psycopg.connect(self.url(role), autocommit=True) as connection:
            connection.execute(statements.encode())

    def visit(self, visitor: str, statement: str) -> list[tuple[object, ...]]:
        """Do what the REST interface does for a visitor."""
        with psycopg.connect(self.url("authenticator"), autocommit=True) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(visitor)))
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else [("rows", cursor.rowcount)]


@pytest.fixture
def project(database_url: str) -> Iterator[Project]:
    database = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute(
            f"""
            CREATE ROLE anon NOLOGIN NOINHERIT;
            CREATE ROLE authenticated NOLOGIN NOINHERIT;
            CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
            CREATE ROLE authenticator LOGIN NOINHERIT;
            GRANT anon, authenticated, service_role TO authenticator;
            CREATE ROLE project_owner LOGIN CREATEROLE BYPASSRLS;
            GRANT CREATE ON DATABASE {database} TO project_owner;
            CREATE SCHEMA extensions;
            GRANT USAGE, CREATE ON SCHEMA extensions TO project_owner WITH GRANT OPTION;
            GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role;
            CREATE EXTENSION vector SCHEMA extensions;
            ALTER SCHEMA public OWNER TO project_owner;
            GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
            ALTER DEFAULT PRIVILEGES FOR ROLE project_owner IN SCHEMA public
                GRANT ALL ON TABLES TO anon, authenticated, service_role;
            ALTER DEFAULT PRIVILEGES FOR ROLE project_owner IN SCHEMA public
                GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
            """.encode()
        )
        yield Project(database_url)
        for role in ROLES:
            if superuser.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                superuser.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
        for role in reversed(ROLES):
            superuser.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


@pytest.fixture
def filled(project: Project) -> Project:
    async def fill() -> None:
        store = SupabaseAdapter(project.url("project_owner"), LibraryIndex())
        await store.upsert([Document("one", "text", "uno")])
        await store.close()

    asyncio.run(fill())
    return project


def test_the_extension_is_made_by_the_projects_owner_or_found(project: Project) -> None:
    project.run("project_owner", BLOCKS["extension"])


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_visitor_may_neither_read_nor_write(filled: Project, visitor: str) -> None:
    for statement in (*READS, SEARCH, *WRITES):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.visit(visitor, statement)
    assert filled.visit("service_role", "SELECT id FROM rag_documents") == [("one",)]


@pytest.mark.parametrize("visitor", VISITORS)
def test_a_grant_given_back_by_mistake_shows_no_row_and_takes_none(filled: Project, visitor: str) -> None:
    filled.run("project_owner", f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {visitor}")
    assert [filled.visit(visitor, statement) for statement in READS] == [[]] * 4
    assert filled.visit(visitor, WRITES[1]) == filled.visit(visitor, WRITES[2]) == [("rows", 0)]
    for statement in (WRITES[0], WRITES[4]):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            filled.visit(visitor, statement)
    assert filled.visit("service_role", "SELECT content FROM rag_documents") == [("uno",)]


def test_the_check_finds_an_open_table_and_closing_closes_it(filled: Project) -> None:
    check = BLOCKS["check"].encode()
    with psycopg.connect(filled.url("project_owner"), autocommit=True) as owner:
        assert owner.execute(check).fetchall() == []
        owner.execute("GRANT ALL ON rag_documents TO anon")
        assert [row[:2] for row in owner.execute(check).fetchall()] == [("anon", "rag_documents")]
        owner.execute(BLOCKS["close"].encode())
        assert owner.execute(check).fetchall() == []


@pytest.mark.parametrize("upgraded", [False, True])
async def test_the_role_of_its_own_does_all_that_the_backend_does_and_no_more(
    filled: Project, *, upgraded: bool
) -> None:
    filled.run("project_owner", BLOCKS["own role"])
    if upgraded:  # from the schema before migration 0007
        before = "DROP TABLE rag_words; DROP INDEX rag_documents_parent; DELETE FROM rag_migrations WHERE version = 7"
        filled.run("project_owner", before)
        owner = SupabaseAdapter(filled.url("project_owner"), LibraryIndex())
        await owner.start()
        await owner.close()
    store = SupabaseAdapter(filled.url("bora_backend"), LibraryIndex())
    await store.start()
    two = {"lemma": "dos", "gloss": "míñéécuú", "direction": "es_bora"}
    assert (await store.upsert([Document("two", "dictionary", "dos", two)])).inserted == 1
    assert [each.word for each in (await word_list(store, "bora_es")).words] == ["míñéécuú"]
    await store.begin_vectors(2_000, 2_000)
    await store.set_vectors(["two"], [[0.1] * 384], "model")
    await store.end_vectors()
    built = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'rag_documents_%embedding'"
    with psycopg.connect(filled.url("project_owner")) as connection:
        assert connection.execute(built).fetchall() == [(2,)]
    assert [hit.id for hit in await search(store, "dos", [0.1] * 384, "model")] == ["two"]
    assert await store.delete("two")
    assert await store.reports.add({GivenReport("missing", "tres"): 1}) == 0
    assert await store.reports.delete((await store.reports.all())[0].id)
    await store.close()
    for statement in ("TRUNCATE rag_documents", "DROP TABLE rag_documents", "CREATE TABLE more (id int)", WRITES[4]):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.run("bora_backend", statement)


def test_the_role_of_its_own_takes_over_the_apps_table(filled: Project) -> None:
    filled.run(
        "project_owner",
        TABLES.replace("CREATE EXTENSION IF NOT EXISTS vector;", "SET search_path = public, extensions;"),
    )
    secured = ("bora_docs", "lexicon_lemmas", "lexicon_subentries", "lexicon_examples")
    filled.run("project_owner", "".join(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;" for table in secured))
    filled.run("project_owner", "INSERT INTO lexicon_lemmas (id, lemma, gloss_es) VALUES (1, 'tsubu', 'casa')")
    filled.run(
        "project_owner", "INSERT INTO bora_docs (id, kind, parent_lemma_id, content) VALUES (1, 'lemma', 1, 'x')"
    )
    filled.run("project_owner", BLOCKS["own role"] + BLOCKS["read the app's tables"])
    result = ingest(filled.url("bora_backend"), "--from-table", "--no-embed")
    assert "1 new, 0 changed, 0 unchanged" in result.stdout, result.stderr
    with psycopg.connect(filled.url("project_owner")) as owner:
        assert owner.execute(BLOCKS["count"].encode()).fetchall() == [(1, 1)]
