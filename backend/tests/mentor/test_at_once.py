"""Answers that wait for no model, over real HTTP: a real Postgres, a fake LLM service on a real port."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.backend_process import wait_until
from tests.backend_server import LocalStub, ready_backend, running_backend
from tests.fake_llm_service import FakeLLMService
from tests.routes.test_rag_api import DOG, WORD, ask, stream

ANSWER = f'En bora, "perro" se dice "{WORD}".'
RIVER = {"id": "t/rio", "kind": "text", "content": "El Ampiyacu es un río de aguas negras del Perú."}
SETTINGS: dict[str, str] = {}
ABOUT_THE_RIVER = "¿Dónde está el Ampiyacu?"


def add_text(backend: httpx.Client) -> None:
    assert backend.post("/api/rag/documents", json={"documents": [RIVER]}).status_code == 200


@pytest.fixture
def with_river(backend: httpx.Client) -> Iterator[httpx.Client]:
    """The backend with a text beside the dictionary."""
    add_text(backend)
    yield backend
    assert backend.delete("/api/rag/documents/t%2Frio").status_code == 200


def who(answer: dict[str, Any]) -> tuple[str, bool, str | None]:
    return answer["served_by"], answer["degraded"], answer["reason"]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (DOG, [WORD]),
        ("perro", [WORD]),
        ("¿Qué significa nuhba en español?", ["sol", "luna"]),
        ("¿Cómo se dice el río grande en bora?", ["teéhi"]),
    ],
    ids=["exact", "bare", "homographs", "near"],
)
def test_entries_answer_without_a_model(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub, question: str, words: list[str]
) -> None:
    answer = ask(backend, question)
    assert all(word in answer["answer"] for word in words)
    assert (answer["answer_mode"], answer["model"], *who(answer)) == ("extractive", "none", "dictionary", False, None)
    assert "generate" not in service.paths()
    assert local.asked == 0


def test_an_exact_entry_needs_neither_the_service_nor_a_vector(backend: httpx.Client, service: FakeLLMService) -> None:
    wait_until(lambda: backend.get("/api/rag/stats").json()["pending_embeddings"] == 0)
    before = len(service.calls)
    assert who(ask(backend)) == ("dictionary", False, None)
    assert len(service.calls) == before
    service.mode = "500"
    assert who(ask(backend)) == ("dictionary", False, None)
    # A near match would be searched by meaning too.
    assert who(ask(backend, "¿Cómo se dice el río grande en bora?")) == ("dictionary", True, "local_unavailable")


def test_the_stream_ends_with_the_checked_answer_and_holds_no_draft(backend: httpx.Client) -> None:
    for draft in (False, True):
        first, answer, whole, done = stream(backend, draft=draft)
        assert WORD in first["sources"][0]["content"]
        assert answer == {"answer": whole["answer"]} == {"answer": ANSWER}
        assert who(whole) == ("dictionary", False, None)
        assert done == "[DONE]"


def test_a_passage_is_worded_by_a_model_the_same_way_each_time(
    with_river: httpx.Client, service: FakeLLMService
) -> None:
    service.answer = "Las aguas del Ampiyacu son negras."
    answers = [ask(with_river, ABOUT_THE_RIVER) for _ in range(2)]
    assert [answer["answer"] for answer in answers] == [f"{service.answer} [1]"] * 2
    assert who(answers[0]) == ("llm_service", False, None)
    first, again = (call["body"] for call in service.calls if call["path"] == "generate")
    assert first == again, "the service's cache knows the second"
    assert first["temperature"] == 0


@pytest.mark.parametrize("mode", ["500", "401", "garbage", "busy", "stream_cut"])
def test_a_passage_that_was_found_is_never_taken_away(
    with_river: httpx.Client, service: FakeLLMService, local: LocalStub, mode: str
) -> None:
    local.answer, service.mode = None, mode
    draft = mode == "stream_cut"
    sources, *_, answer, whole, done = stream(with_river, ABOUT_THE_RIVER, draft=draft)
    assert sources["sources"][0]["id"] == RIVER["id"]
    assert "aguas negras" in answer["answer"]
    assert (whole["served_by"], whole["degraded"], done) == ("none", True, "[DONE]")
    assert whole["reason"]


def test_an_explanation_follows_the_answer_only_where_it_is_wanted(
    backend: httpx.Client, service: FakeLLMService
) -> None:
    service.answer = f'El perro, en bora "{WORD}", es un animal de la casa.'
    assert ask(backend)["explanation"] is None
    assert "generate" not in service.paths()
    _, answer, explanation, whole, _ = stream(backend, explain=True)
    assert answer == {"answer": ANSWER}
    assert explanation == {"explanation": service.answer}
    assert (whole["answer"], whole["explanation"], whole["served_by"]) == (ANSWER, service.answer, "dictionary")
    assert ask(backend, explain=True)["explanation"] == service.answer


@pytest.mark.parametrize("said", ['En bora, "perro" se dice "tsahííbyeko".', "The dog is an animal.", ANSWER, ""])
def test_an_explanation_that_the_entries_do_not_support_is_not_sent(
    backend: httpx.Client, service: FakeLLMService, said: str
) -> None:
    service.answer = said
    *before, whole, _ = stream(backend, explain=True)
    assert [list(event) for event in before] == [["sources"], ["answer"]]
    assert (whole["answer"], whole["explanation"], whole["degraded"]) == (ANSWER, None, False)


def test_a_model_that_cannot_explain_leaves_the_answer(
    backend: httpx.Client, service: FakeLLMService, local: LocalStub
) -> None:
    service.mode, local.answer = "500", None
    answer = ask(backend, explain=True)
    assert (answer["answer"], answer["explanation"]) == (ANSWER, None)
    assert who(answer) == ("dictionary", True, "local_unavailable")


def test_a_backend_that_never_words_asks_no_model(database_url: str, service: FakeLLMService, local: LocalStub) -> None:
    with ready_backend(local, database_url=database_url, llm_service_url=service.url, rag_wording="never") as client:
        add_text(client)
        assert ask(client, explain=True)["answer"] == ANSWER
        passage = ask(client, ABOUT_THE_RIVER)
        assert "aguas negras" in passage["answer"]
        assert who(passage) == ("none", False, None)
    assert "generate" not in service.paths()


def test_a_question_that_comes_while_the_app_starts_is_answered(database_url: str) -> None:
    with running_backend(database_url=database_url) as client:
        assert ask(client)["answer"] == ANSWER
