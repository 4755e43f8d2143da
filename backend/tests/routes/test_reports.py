"""Reports about the dictionary: counted in the background, bounded, without anything personal."""

import asyncio
import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from adapters.ports.reports import GivenReport
from adapters.ports.store import StoreUnavailable
from adapters.postgres.tables import reports as report_table
from adapters.supabase_adapter import SupabaseAdapter
from observability.metrics import Metrics
from services.library.index import LibraryIndex
from services.reports import WAITING, Reports, reported_word
from tests.backend_process import wait_until
from tests.backend_server import ready_backend
from tests.fake_llm_service import FakeLLMService

DOG = "perro"


@pytest.fixture
def backend(database_url: str, service: FakeLLMService) -> Iterator[httpx.Client]:
    with ready_backend(database_url=database_url, llm_service_url=service.url) as client:
        yield client


def ask(client: httpx.Client, query: str, **more: Any) -> Any:
    response = client.post("/api/rag/query", json={"query": query, **more})
    assert response.status_code == 200, response.text
    return response


def kept(client: httpx.Client) -> list[tuple[str, str, str, int]]:
    rows = client.get("/api/rag/reports").json()["reports"]
    return [(row["kind"], row["subject"], row["note"], row["count"]) for row in rows]


def counted(client: httpx.Client, *names: str) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(line.split()[-1]) for name in names for line in lines if line.startswith(name + " ")}


def test_missing_words_are_counted_and_nothing_else_of_a_question(backend: httpx.Client, database_url: str) -> None:
    ask(backend, "¿Cómo se dice Zaríbulo en bora?")
    ask(backend, "¿Cómo se dice zaribulo en bora?", stream=True)
    assert ask(backend, "perro, gato y zorfano").json()["missing"] == ["zorfano"]
    # Found; and what may be about a person rather than a word.
    ask(backend, DOG)
    for personal in (
        "¿Cómo se dice juan33 en bora?",
        "¿Cómo se dice ana@example.org en bora?",
        "¿Cómo se dice example.org en bora?",
    ):
        assert ask(backend, personal).json()["missing"]
    expected = [("missing", "zaribulo", "", 2), ("missing", "zorfano", "", 1)]
    wait_until(lambda: kept(backend) == expected)
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'rag_reports'"
        ).fetchall()
    names = {"id", "kind", "subject", "note", "count", "first_at", "last_at"}
    assert {name for (name,) in columns} == names


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("Árbol", "arbol"),
        ("buenos  días", "buenos dias"),
        ("tsɨ́ɨ́ju", "tsiiju"),
        ("dolor de cabeza fuerte", ""),
        ("juan@example.org", ""),
        ("tel 999", ""),
        ("http://x", ""),
        ("x" * 61, ""),
        ("¿?", ""),
    ],
)
def test_only_words_are_kept(said: str, word: str) -> None:
    assert reported_word(said) == word


def test_reports_of_readers_are_counted_listed_and_deleted(backend: httpx.Client) -> None:
    entry = ask(backend, DOG).json()["sources"][0]
    opinion = {"answer_mode": "extractive", "served_by": "dictionary"}
    for body in (
        {"kind": "error", "entry": entry["id"], "note": "  No es\nasí. "},
        {"kind": "error", "entry": entry["id"], "note": "No es así."},
        {"kind": "error", "entry": "gone"},
        {"kind": "wanted", "words": ["Zorfano", "zorfano", "una frase de cuatro palabras"]},
        {"kind": "helpful", "entries": [entry["id"]], **opinion},
        {"kind": "unhelpful", **opinion},
    ):
        answer = backend.post("/api/rag/reports", json=body)
        assert (answer.status_code, answer.json()) == (200, {"accepted": True})
    expected = [
        ("error", entry["id"], "No es así.", 2),
        ("error", "gone", "", 1),
        ("helpful", entry["id"], "extractive, dictionary", 1),
        ("unhelpful", "", "extractive, dictionary", 1),
        ("wanted", "zorfano", "", 1),
    ]
    wait_until(lambda: kept(backend) == expected)
    first, second = backend.get("/api/rag/reports", params={"kind": "error"}).json()["reports"]
    assert (first["content"], second["content"]) == (entry["content"], None)
    assert first["first_at"] <= first["last_at"]
    assert backend.delete(f"/api/rag/reports/{first['id']}").json() == {"id": first["id"], "deleted": True}
    # Somebody else may have been faster.
    assert backend.delete(f"/api/rag/reports/{first['id']}").json() == {"id": first["id"], "deleted": False}
    assert kept(backend) == expected[1:]


def test_a_spreadsheet_gets_letters_whole_and_formulas_inert(backend: httpx.Client) -> None:
    notes = ['=HYPERLINK("http://x")', "+1", "-1", "@x", "dicen «tsɨ́ɨ́ju», no así"]
    for note in notes:
        backend.post("/api/rag/reports", json={"kind": "error", "entry": "=x", "note": note})
    wait_until(lambda: len(kept(backend)) == len(notes))
    answer = backend.get("/api/rag/reports", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.content.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["subject"] for row in rows} == {"'=x"}
    assert {row["note"] for row in rows} == {*(f"'{note}" for note in notes[:4]), notes[4]}
    assert backend.get("/api/rag/reports", params={"format": "xml"}).status_code == 422


def test_switched_off_nothing_is_counted_and_what_was_kept_can_be_read(
    database_url: str, service: FakeLLMService, backend: httpx.Client
) -> None:
    ask(backend, "zorfano")
    wait_until(lambda: len(kept(backend)) == 1)
    assert backend.get("/page.json").json()["reports"] is True
    with ready_backend(database_url=database_url, llm_service_url=service.url, reports=False) as silent:
        assert silent.get("/page.json").json()["reports"] is False
        answer = silent.post("/api/rag/reports", json={"kind": "error", "entry": "x"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
        assert "REPORTS" in answer.json()["error"]["message"]
        assert ask(silent, "zaribulo").json()["missing"] == ["zaribulo"]
        assert kept(silent) == [("missing", "zorfano", "", 1)]
        assert counted(silent, 'backend_reports_total{kind="missing"}') == {'backend_reports_total{kind="missing"}': 0}


def test_reports_that_wait_are_written_when_the_backend_stops(database_url: str, service: FakeLLMService) -> None:
    with ready_backend(database_url=database_url, llm_service_url=service.url) as client:
        for number in range(3):
            client.post("/api/rag/reports", json={"kind": "error", "entry": f"e{number}"})
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM rag_reports").fetchone() == (3,)


class BrokenReports(report_table.PostgresReports):
    """Their table is away."""

    async def add(self, given: Any) -> int:
        raise StoreUnavailable("gone")


class WithoutReports(SupabaseAdapter):
    @property
    def reports(self) -> BrokenReports:
        return BrokenReports(self)


def test_without_their_table_answers_go_on_and_lost_reports_are_counted(
    database_url: str, service: FakeLLMService
) -> None:
    store = WithoutReports(database_url, LibraryIndex())
    with ready_backend(None, store, database_url=database_url, llm_service_url=service.url) as client:
        assert ask(client, "zorfano").json()["missing"] == ["zorfano"]
        assert client.post("/api/rag/reports", json={"kind": "error", "entry": "x"}).status_code == 200
        lost = 'backend_reports_lost_total{reason="unavailable"}'
        wait_until(lambda: counted(client, lost) == {lost: 2})


@pytest.mark.anyio
async def test_a_full_kind_counts_what_it_has_and_leaves_the_others_room(
    store: SupabaseAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_table, "ROWS_OF_A_KIND", 2)
    words = [GivenReport("missing", word) for word in ("a", "b", "c")]
    assert await store.reports.add({words[0]: 1}) == 0
    assert await store.reports.add(dict.fromkeys(words, 1)) == 1
    assert await store.reports.add({words[0]: 5, words[2]: 1, GivenReport("wanted", "c"): 1}) == 1
    found = [(each.kind, each.subject, each.count) for each in await store.reports.all()]
    assert found == [("missing", "a", 7), ("missing", "b", 1), ("wanted", "c", 1)]


@pytest.mark.anyio
async def test_too_many_at_once_and_those_not_written_in_time_at_the_end_are_lost_and_counted() -> None:
    class Slow:
        async def add(self, given: Any) -> int:
            await asyncio.sleep(600)
            return 0

    metrics = Metrics()
    reports = Reports(Slow(), metrics)  # type: ignore[arg-type]
    for number in range(WAITING + 3):
        reports.note(GivenReport("error", str(number)))
    reports.note(GivenReport("error", "0"))
    await reports.close()
    counted = metrics.exposition().decode()
    assert 'backend_reports_lost_total{reason="busy"} 3.0' in counted
    assert f'backend_reports_lost_total{{reason="unavailable"}} {WAITING + 1}.0' in counted
