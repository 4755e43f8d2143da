"""Questions whose answers a model words, over real HTTP: a real Postgres, a fake LLM service on a real port.

``test_at_once`` has the answers without a model.
"""

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from adapters.ports.search import FoundEntries, ParsedQuery
from adapters.ports.store import StoreUnavailable
from adapters.supabase_adapter import SupabaseAdapter
from free_ports import free_port
from services.library.index import LibraryIndex
from services.mentor.prompts import RULES
from tests.backend_process import wait_until
from tests.backend_server import LocalStub, ready_backend
from tests.fake_llm_service import FakeLLMService

DOG = "¿Cómo se dice perro en bora?"
WORD = "oohííbye"
SETTINGS = {"rag_wording": "always"}


def ask(client: httpx.Client, query: str = DOG, **more: Any) -> dict[str, Any]:
    response = client.post("/api/rag/query", json={"query": query, **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def events(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def stream(client: httpx.Client, query: str = DOG, **more: Any) -> list[Any]:
    return events(client.post("/api/rag/query", json={"query": query, "stream": True, **more}))


def test_a_question_is_answered_by_the_service_from_the_dictionary(
    backend: httpx.Client, service: FakeLLMService
) -> None:
    answer = ask(backend)
    assert WORD in answer["answer"]
    assert (answer["answer_mode"], answer["served_by"], answer["degraded"]) == ("generated", "llm_service", False)
    assert answer["model"] == "fake-model"
    assert any(WORD in source["content"] for source in answer["sources"])
    assert {"id", "kind", "content", "score", "matched_on", "metadata", "role", "spans"} == set(answer["sources"][0])
    assert answer["timings"]["total_ms"] > 0
    sent = next(call for call in service.calls if call["path"] == "generate")
    assert WORD in sent["body"]["messages"][-1]["content"]
    assert sent["headers"]["x-request-id"] == answer["request_id"]
    assert sent["body"]["temperature"] == 0
    assert answer["reason"] is answer["explanation"] is None


def test_history_travels_to_the_model(backend: httpx.Client, service: FakeLLMService) -> None:
    ask(backend, history=[{"role": "user", "content": "hola"}, {"role": "assistant", "content": "¡hola!"}])
    (messages,) = [call["body"]["messages"] for call in service.calls if call["path"] == "generate"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]


def test_a_follow_up_is_answered_from_the_conversation(backend: httpx.Client, service: FakeLLMService) -> None:
    service.answer = ""
    history = [{"role": "user", "content": "¿Cómo se dice gato en bora?"}]
    history.append({"role": "assistant", "content": ask(backend, history[0]["content"])["answer"]})
    assert ask(backend, "¿y perro?", history=history)["answer"] == f'En bora, "perro" se dice "{WORD}".'
    assert ask(backend, "¿y en español?", history=history)["answer"] == 'En español, "mííchií" significa "gato".'
    plural = ask(backend, "¿y el plural?", history=history)["answer"]
    assert plural.startswith('No encontré "gatos" en el diccionario.')
    assert "mííchií" in plural
    streamed = backend.post("/api/rag/query", json={"query": "¿y perro?", "history": history, "stream": True})
    assert WORD in events(streamed)[-2]["answer"]


def test_the_operators_persona_reaches_the_model(
    database_url: str, service: FakeLLMService, local: LocalStub, tmp_path: Path
) -> None:
    file = tmp_path / "mentor.txt"
    file.write_text("Eres Nuhba, una maestra bora.", encoding="utf-8")
    with ready_backend(
        local, database_url=database_url, llm_service_url=service.url, rag_persona_file=file, rag_wording="always"
    ) as client:
        assert WORD in ask(client)["answer"]
    (messages,) = [call["body"]["messages"] for call in service.calls if call["path"] == "generate"]
    assert messages[0]["content"] == f"Eres Nuhba, una maestra bora. {RULES}"


def test_a_stream_has_sources_then_the_checked_answer_then_the_whole(backend: httpx.Client) -> None:
    first, answer, whole, done = stream(backend)
    assert WORD in first["sources"][0]["content"]
    assert answer == {"answer": whole["answer"]}
    assert whole["served_by"] == "llm_service"
    assert done == "[DONE]"


def test_an_invented_word_is_seen_only_in_a_draft_that_was_wanted(
    backend: httpx.Client, service: FakeLLMService
) -> None:
    service.answer = 'En bora, "perro" se dice "tsahííbyeko".'
    whole = ask(backend)
    assert whole["answer"] == f'En bora, "perro" se dice "{WORD}".'
    assert (whole["answer_mode"], whole["served_by"]) == ("extractive", "llm_service")
    assert not any("tsahííbyeko" in str(event) for event in stream(backend))
    _, *deltas, answer, whole, _ = stream(backend, draft=True)
    assert "".join(delta["delta"] for delta in deltas).strip() == service.answer
    assert answer == {"answer": whole["answer"]} == {"answer": f'En bora, "perro" se dice "{WORD}".'}


@pytest.mark.parametrize("mode", ["html", "500", "busy", "cut_body", "fields"])
def test_a_service_in_trouble_is_replaced_by_the_local_model(
    backend: httpx.Client, service: FakeLLMService, mode: str
) -> None:
    service.mode = mode
    for answer in (ask(backend), stream(backend)[-2], stream(backend, draft=True)[-2]):
        assert (answer["served_by"], answer["degraded"]) == ("local", True)
        assert WORD in answer["answer"]


@pytest.mark.parametrize(("mode", "reason"), [("400", "refused"), ("401", "unauthorized"), ("429", "rate_limited")])
def test_a_refused_question_is_answered_from_the_entries_and_nobody_else_is_asked(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub, mode: str, reason: str
) -> None:
    service.mode = mode
    for answer in (ask(backend), stream(backend)[-2], stream(backend, draft=True)[-2]):
        assert answer["answer"] == f'En bora, "perro" se dice "{WORD}".'
        assert (answer["served_by"], answer["degraded"], answer["reason"]) == ("none", True, reason)
    assert local.asked == 0


def test_without_any_model_the_entries_answer(backend: httpx.Client, service: FakeLLMService, local: LocalStub) -> None:
    service.mode, local.answer = "500", None
    answer = ask(backend)
    assert answer["answer"] == f'En bora, "perro" se dice "{WORD}".'
    assert (answer["answer_mode"], answer["served_by"], answer["degraded"]) == ("extractive", "none", True)
    assert stream(backend)[-2]["served_by"] == "none"


def test_without_any_model_and_anything_found_there_is_no_answer(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub
) -> None:
    service.mode, local.answer = "500", None
    for streamed in (False, True):
        response = backend.post("/api/rag/query", json={"query": "xilófono", "stream": streamed})
        assert response.status_code == 503
        assert response.json()["error"] == {
            "type": "llm_unavailable",
            "message": response.json()["error"]["message"],
            "request_id": response.headers["x-request-id"],
            "retryable": True,
        }
        assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("mode", "reason"), [("stream_cut", "protocol"), ("stream_error", "http_5xx"), ("stream_stall", "timeout")]
)
def test_a_draft_that_breaks_off_is_followed_by_the_answer_from_the_entries(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub, mode: str, reason: str
) -> None:
    service.mode = mode
    body = {"query": DOG, "stream": True, "draft": True}
    received = events(backend.post("/api/rag/query", json=body, headers={"X-Request-Timeout-Ms": "2000"}))
    assert "delta" in received[1]
    assert received[-3] == {"answer": f'En bora, "perro" se dice "{WORD}".'}
    assert (received[-2]["served_by"], received[-2]["degraded"], received[-2]["reason"]) == ("none", True, reason)
    assert local.asked == 0


def test_a_client_that_leaves_stops_the_generation(backend: httpx.Client, service: FakeLLMService) -> None:
    service.delay_s = 600
    content = json.dumps({"query": DOG}).encode()
    head = "POST /api/rag/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((backend.base_url.host, backend.base_url.port or 0)) as caller:
        caller.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        wait_until(lambda: service.paths().count("generate") == 1)
    wait_until(lambda: service.left == ["generate"])
    body = {"query": DOG, "stream": True}
    with backend.stream("POST", "/api/rag/query", json=body) as response:
        lines = response.iter_lines()  # Without a name it would be closed at once, and the connection with it.
        next(lines)
        wait_until(lambda: service.paths().count("generate") == 2)
    wait_until(lambda: service.left == ["generate"] * 2)

    service.delay_s, service.mode = 0, "stream_stall"
    with backend.stream("POST", "/api/rag/query", json={**body, "draft": True}) as response:
        lines = response.iter_lines()  # Without a name it would be closed at once, and the connection with it.
        next(lines)
        wait_until(lambda: service.paths().count("generate") == 3)
    wait_until(lambda: service.left == ["generate", "generate", "stream"])


def test_within_the_callers_time_limit_the_entries_answer(backend: httpx.Client, service: FakeLLMService) -> None:
    service.delay_s = 30
    for streamed in (False, True):
        headers = {"X-Request-Timeout-Ms": "1000"}
        response = backend.post("/api/rag/query", json={"query": DOG, "stream": streamed}, headers=headers)
        answer = events(response)[-2] if streamed else response.json()
        assert WORD in answer["answer"]
        assert (answer["served_by"], answer["degraded"], answer["reason"]) == ("none", True, "timeout")
    wait_until(lambda: service.left == ["generate"] * 2)


class BrokenStore(SupabaseAdapter):
    """A database that goes away after the start."""

    broken = False

    async def search(self, query: ParsedQuery, top_k: int) -> FoundEntries:
        if self.broken:
            raise StoreUnavailable("gone")
        return await super().search(query, top_k)


def test_without_the_database_there_is_no_answer_at_all(
    database_url: str, service: FakeLLMService, local: LocalStub
) -> None:
    store = BrokenStore(database_url, LibraryIndex())
    with ready_backend(local, store, database_url=database_url, llm_service_url=service.url) as client:
        store.broken = True
        for body in ({"query": DOG}, {"query": DOG, "stream": True}):
            response = client.post("/api/rag/query", json=body)
            assert (response.status_code, response.json()["error"]["type"]) == (503, "retrieval_unavailable")
        assert "generate" not in service.paths()


def test_documents_are_stored_found_and_deleted(backend: httpx.Client) -> None:
    before = backend.get("/api/rag/stats").json()["documents"]
    document = {"id": "t/1", "kind": "text", "content": "El Ampiyacu es un río.", "metadata": {"source": "prueba"}}
    first = backend.post("/api/rag/documents", json={"documents": [document]}).json()
    again = backend.post("/api/rag/documents", json={"documents": [document]}).json()
    assert (first["inserted"], again["inserted"], again["unchanged"]) == (1, 0, 1)
    found = backend.get("/api/rag/search", params={"q": "Ampiyacu", "top_k": 3}).json()
    assert found["results"][0]["id"] == "t/1"
    assert found["results"][0]["matched_on"]
    assert found["took_ms"] >= 0
    assert backend.get("/api/rag/stats").json()["documents"] == before + 1
    assert backend.delete("/api/rag/documents/t%2F1").json() == {"id": "t/1", "deleted": True}
    assert backend.delete("/api/rag/documents/t%2F1").status_code == 404


@pytest.mark.parametrize("document_id", ["a\nb", "a\r", "\x1bx", "..", "a/../b", "./a", "a\u2028b"])
def test_an_id_that_no_path_can_name_is_refused(backend: httpx.Client, document_id: str) -> None:
    document = {"id": document_id, "kind": "text", "content": "algo"}
    response = backend.post("/api/rag/documents", json={"documents": [document]})
    assert response.status_code == 422
    assert "id" in response.json()["error"]["message"]


@pytest.mark.parametrize("document_id", ["a b", "a/b", "ñandú?#&", "a..b", "%2F", "«x»", "/a/", "a+b"])
def test_what_is_stored_can_be_removed(backend: httpx.Client, document_id: str) -> None:
    document = {"id": document_id, "kind": "text", "content": "algo"}
    stored = backend.post("/api/rag/documents", json={"documents": [document]}).json()
    assert (stored["inserted"], stored["pending_embeddings"]) == (1, 1)
    path = f"/api/rag/documents/{quote(document_id, safe='')}"
    assert backend.delete(path).json() == {"id": document_id, "deleted": True}


@pytest.mark.parametrize("document_id", ["a\nb", "..", "a/../b", "", " ", "//", "\u2028", "x" * 2_500, "a?id=b"])
def test_what_another_program_stored_can_be_removed(
    backend: httpx.Client, shared_database: str, document_id: str
) -> None:
    with psycopg.connect(shared_database) as connection:
        stored = "INSERT INTO rag_documents (id, kind, content, content_hash) VALUES (%s, 'phrase', 'algo', 'x')"
        connection.execute(stored, [document_id])
    deleted = backend.delete("/api/rag/documents", params={"id": document_id})
    assert deleted.json() == {"id": document_id, "deleted": True}
    again = backend.delete("/api/rag/documents", params={"id": document_id})
    assert (again.status_code, again.json()["error"]["type"]) == (404, "not_found")


def test_a_search_finds_as_many_as_the_settings_say(
    database_url: str, service: FakeLLMService, local: LocalStub
) -> None:
    with ready_backend(local, database_url=database_url, llm_service_url=service.url, rag_top_k=2) as client:
        assert len(client.get("/api/rag/search?q=perro+gato+casa").json()["results"]) == 2
        assert len(client.get("/api/rag/search?q=perro+gato+casa&top_k=3").json()["results"]) == 3


def test_one_bad_document_refuses_them_all(backend: httpx.Client) -> None:
    before = backend.get("/api/rag/stats").json()["documents"]
    good = {"id": "g", "kind": "text", "content": "bueno"}
    bad = {"id": "b", "kind": "text", "content": "malo", "metadata": {"x": "a\0b"}}
    response = backend.post("/api/rag/documents", json={"documents": [good, bad]})
    assert response.status_code == 422
    assert "documents.1.metadata" in response.json()["error"]["message"]
    assert backend.get("/api/rag/stats").json()["documents"] == before


def test_vectors_follow_in_the_background(backend: httpx.Client, service: FakeLLMService) -> None:
    wait_until(lambda: backend.get("/api/rag/stats").json()["pending_embeddings"] == 0)
    assert backend.get("/api/rag/stats").json()["embedding_fingerprint"] == service.fingerprint
    document = {"id": "late", "kind": "text", "content": "algo nuevo"}
    backend.post("/api/rag/documents", json={"documents": [document]})
    wait_until(lambda: backend.get("/api/rag/stats").json()["pending_embeddings"] == 0)
    backend.delete("/api/rag/documents/late")


def test_the_backend_is_ready_without_the_service_and_fills_vectors_in_when_it_comes(
    database_url: str, local: LocalStub
) -> None:
    port = free_port()
    with ready_backend(local, database_url=database_url, llm_service_url=f"http://127.0.0.1:{port}") as client:
        assert WORD in ask(client)["answer"]
        assert client.get("/api/rag/stats").json()["pending_embeddings"] > 0
        late = FakeLLMService(port=port).start()
        wait_until(lambda: client.get("/api/rag/stats").json()["pending_embeddings"] == 0)
        late.stop()
