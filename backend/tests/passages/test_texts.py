"""Texts beside the dictionary, over real HTTP: which question goes where, sources with spans, what is not known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from adapters.ports.documents import Document
from adapters.ports.search import TextTerm
from adapters.postgres import migrations
from adapters.postgres.migrations import load_migrations
from adapters.supabase_adapter import SupabaseAdapter
from scripts.fit_threshold import BadQuestions, read_questions
from services.library.index import LibraryIndex
from services.library.ingestion import DocumentIngestor
from tests.backend_server import ready_backend
from tests.fake_llm_service import FakeLLMService
from tests.routes.test_rag_api import WORD, ask
from tests.searches import search

SETTINGS = {"rag_wording": "never"}
MANUAL = {
    "m/1": "Bomba\nLa bomba se apaga con el botón rojo. El operador puede lanzar el ancla y el perro ladra.",
    "m/2": "Cuotas\nCada casa paga una cuota de 9 soles al mes. La yuca no paga cuota.",
    "m/3": "Opening hours\nThe workshop is open on Tuesdays from 4 p.m. to 8 p.m.",
}


def documents(contents: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"id": name, "kind": "text", "content": text, "metadata": {"heading": text.partition("\n")[0]}}
        for name, text in contents.items()
    ]


@pytest.fixture(scope="module")
def backend(running_backend: httpx.Client) -> httpx.Client:
    assert running_backend.post("/api/rag/documents", json={"documents": documents(MANUAL)}).status_code == 200
    return running_backend


@pytest.fixture
def texts_only(database_url: str, service: FakeLLMService) -> Iterator[httpx.Client]:
    with ready_backend(database_url=database_url, llm_service_url=service.url, mentor="none") as client:
        assert client.post("/api/rag/documents", json={"documents": documents(MANUAL)}).status_code == 200
        yield client


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("¿Cuánto paga cada casa al mes?", "«Cada casa paga una cuota de 9 soles al mes.» [1]"),
        ("¿Con qué botón se apaga la bomba?", "«La bomba se apaga con el botón rojo.» [1]"),
        ("When is the workshop open on Tuesdays?", "«The workshop is open on Tuesdays from 4 p.m. to 8 p.m.» [1]"),
    ],
)
def test_a_question_to_a_text_is_answered_from_it(backend: httpx.Client, question: str, said: str) -> None:
    answer = ask(backend, question)
    assert answer["answer"] == said
    assert answer["degraded"] is False
    source = answer["sources"][0]
    ((start, end),) = source["spans"]
    assert source["kind"] == "text"
    assert source["content"][start:end] == said[1:-5]


@pytest.mark.parametrize(
    "question",
    [
        "¿Cómo se dice perro en bora?",
        "perro",
        "How do you say dog in Bora?",
        "How do you say perro in Bora?",
        "Como se diz cachorro em bora?",
    ],
)
def test_a_word_goes_to_the_dictionary_though_a_text_holds_it(backend: httpx.Client, question: str) -> None:
    answer = ask(backend, question)
    assert WORD in answer["answer"]
    assert not any(text in answer["answer"] for text in ("ladra", "[1]"))
    assert answer["served_by"] == "dictionary"
    assert {source["kind"] for source in answer["sources"]} == {"dictionary"}


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("¿Quién ganó el mundial de fútbol?", "No lo sé: no encontré la respuesta en los textos."),
        ("Who won the football cup?", "I don't know: the answer is not in the texts."),
        ("Quem ganhou a copa de futebol?", "Não sei: a resposta não está nos textos."),
    ],
)
def test_what_no_text_holds_is_said_in_the_language_of_the_question(
    backend: httpx.Client, question: str, said: str
) -> None:
    answer = ask(backend, question)
    assert (answer["answer"], answer["sources"]) == (said, [])


def test_a_word_that_is_nowhere_is_missing_from_the_dictionary(backend: httpx.Client) -> None:
    assert "en el diccionario" in ask(backend, "¿Cómo se dice astronauta en bora?")["answer"]


def test_search_finds_entries_and_texts(backend: httpx.Client) -> None:
    found = backend.get("/api/rag/search", params={"q": "¿Cuánto paga cada casa al mes?"}).json()["results"]
    assert found[0]["id"] == "m/2"
    assert backend.get("/api/rag/search", params={"q": "perro"}).json()["results"][0]["kind"] == "dictionary"


def test_without_a_mentor_every_question_goes_to_the_texts(texts_only: httpx.Client, service: FakeLLMService) -> None:
    service.answer = "Cada casa paga 9 soles al mes [1]. Lima tiene 500 casas [1]."
    answer = ask(texts_only, "¿Cuánto paga cada casa al mes?")
    assert (answer["answer"], answer["answer_mode"]) == ("Cada casa paga 9 soles al mes. [1]", "completed")
    assert answer["served_by"] == "llm_service"
    assert "bora" not in ask(texts_only, "¿Cómo se dice perro en bora?")["answer"].lower()
    assert texts_only.get("/api/rag/stats").json()["by_kind"] == {"text": 3}


def test_a_lost_model_leaves_the_quotation(texts_only: httpx.Client, service: FakeLLMService) -> None:
    service.mode = "500"
    answer = ask(texts_only, "¿Cuánto paga cada casa al mes?")
    assert answer["answer"] == "«Cada casa paga una cuota de 9 soles al mes.» [1]"
    assert answer["degraded"] is True


async def found(store: SupabaseAdapter, word: str) -> list[str]:
    return [one.id for one in (await store.search_texts([TextTerm(word, word)])).candidates]


@pytest.mark.anyio
async def test_texts_are_found_by_word_forms_of_the_configured_languages(database_url: str) -> None:
    text = Document("t", "text", "Die Kinder der Familien sind alt.")
    store = SupabaseAdapter(database_url, LibraryIndex(), text_languages=["spanish"])
    try:
        await DocumentIngestor(store, None).ingest([text], embed=False)
        assert await found(store, "kinder") == ["t"]
        assert await found(store, "kindern") == []
    finally:
        await store.close()
    german = SupabaseAdapter(database_url, LibraryIndex(), text_languages=["german"])
    try:
        await german.start()
        assert await found(german, "kindern") == ["t"]
        nothing = await german.search_texts([TextTerm("nada", "nada")])
        assert (nothing.candidates, nothing.term_counts, nothing.total) == ([], [0], 1)
    finally:
        await german.close()


@pytest.mark.anyio
async def test_texts_of_an_earlier_schema_are_found_after_the_migration(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = load_migrations()
    with monkeypatch.context() as before:
        before.setattr(migrations, "load_migrations", lambda: every[:4])
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE EXTENSION vector")
        async with await psycopg.AsyncConnection.connect(database_url) as old:
            await migrations.migrate(old, (), dimension=384)
            await old.execute(
                "INSERT INTO rag_documents (id, kind, content, content_hash, text_c, stem_c) VALUES "
                "('t', 'text', 'La bomba roja.', 'x', 'la bomba roja', 'la bomba roja. la bomba roja'), "
                "('e', 'dictionary', 'bomba: x', 'x', 'bomba x', 'bomba x')"
            )
    store = SupabaseAdapter(database_url, LibraryIndex())
    try:
        await store.start()
        assert await found(store, "bombas") == ["t"]
        assert [hit.id for hit in await search(store, "bomba")] == ["e"]
    finally:
        await store.close()


def test_the_fit_command_says_which_line_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "q.csv"
    file.write_text("question;answered\n¿Cuánto paga?;sí\n¿Quién?;tal vez\n", encoding="utf-8")
    with pytest.raises(BadQuestions, match="line 3: answered is yes or no, not 'tal vez'"):
        read_questions(file)
    file.write_text("question;answered\n¿Cuánto paga?;sí\n¿Quién?;no\n", encoding="utf-8")
    assert read_questions(file) == [("¿Cuánto paga?", True), ("¿Quién?", False)]
