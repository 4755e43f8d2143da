"""The page in a browser, in front of the real backend: asking, streaming, stopping, following up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from page_apps import Apps, Process
from page_line import SlowLine
from page_tab import OpenTab, Tab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytest_plugins = ["page_browser"]
pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Request

LONG_TEXT = "La maloca es la casa grande de la comunidad. " + " ".join(f"Su viga {n} es de madera." for n in range(9))
LONG_DOCUMENT = {"id": "long", "kind": "text", "content": LONG_TEXT}


GROWN = "n => document.querySelector('[aria-busy=true] .answer:not(.waiting)')?.textContent.length > n"


@pytest.fixture(scope="module")
def apps_with_texts(apps: Apps) -> Apps:
    accents = {"lemma": "manguaré", "gloss": "ñuhbaúú", "pos": "m.", "direction": "es_bora"}
    entry = {"id": "accents", "kind": "dictionary", "content": "manguaré: ñuhbaúú", "metadata": accents}
    apps.add_documents(LONG_DOCUMENT, entry)
    return apps


@pytest.fixture(scope="module")
def slow_backend(apps_with_texts: Apps) -> Iterator[Process]:
    """A backend with a slow line to the LLM service."""
    line = SlowLine.to(apps_with_texts.llm.port)
    with apps_with_texts.second_backend(LLM_SERVICE_URL=f"http://127.0.0.1:{line.port}") as backend:
        yield backend
    line.close()


@pytest.fixture
def slow_tab(open_tab: OpenTab, slow_backend: Process) -> Tab:
    return open_tab(slow_backend.url)


def ask_and_stop(tab: Tab) -> None:
    """Ask for a long answer and press Escape while it is written."""
    answer = tab.ask("maloca")
    tab.page.wait_for_function(GROWN, arg=0)
    tab.page.keyboard.press("Escape")
    expect(answer).to_contain_text("Respuesta detenida")


def test_a_question_is_answered_with_its_sources_and_who_gave_it(tab: Tab) -> None:
    answer = tab.ask_and_wait("¿Cómo se dice perro en bora?")
    expect(answer.locator(".answer")).to_contain_text("oohííbye")
    expect(answer.locator(".answer [lang=boa]").first).to_have_text("oohííbye")
    source = answer.get_by_role("listitem").first
    expect(source.locator("mark")).to_have_text(["perro"])
    expect(source.locator(".kind")).to_have_text("diccionario · por la palabra")
    expect(source.locator(".gloss")).to_have_attribute("lang", "boa")
    for text in ("servicio", "búsqueda", "diccionario"):
        expect(answer.locator(".facts")).to_contain_text(text)
    expect(tab.banner).to_be_hidden()
    expect(tab.page.get_by_role("button", name="Preguntar")).to_be_visible()


@pytest.mark.parametrize("question", ["nuhbauu", "¿qué significa NUHBAUU en español?", "¿Cómo se dice manguare?"])
def test_words_are_marked_where_they_matched_however_they_were_typed(
    tab: Tab, apps_with_texts: Apps, question: str
) -> None:
    answer = tab.ask_and_wait(question)
    expected = "manguaré" if "manguare" in question else "ñuhbaúú"
    source = answer.get_by_role("listitem").filter(has_text="ñuhbaúú")
    expect(source.locator("mark")).to_have_text([expected])


def test_every_suggestion_is_answered_by_the_sample_lexicon(tab: Tab) -> None:
    suggestions = tab.page.get_by_role("list", name="Preguntas para empezar").get_by_role("button")
    expect(suggestions).to_have_count(4)
    for text in suggestions.all_inner_texts():
        tab.page.get_by_role("button", name=text).press("Enter")
        expect(tab.last.locator(".facts")).to_be_visible()
        expect(tab.last.locator(".answer [lang=boa]").first).to_be_visible()
        expect(tab.last.locator("mark").first).to_be_visible()
        tab.page.get_by_role("button", name="Nueva conversación").click()
        expect(tab.page.get_by_role("article")).to_have_count(0)
        expect(tab.box).to_be_focused()


def test_the_answer_grows_while_it_is_written_and_can_be_stopped(slow_tab: Tab) -> None:
    tab = slow_tab
    answer = tab.ask("maloca")
    expect(answer.get_by_role("listitem").first).to_contain_text("La maloca es la casa grande")
    tab.page.wait_for_function(GROWN, arg=0)
    length = len(answer.locator(".answer").inner_text())
    tab.page.wait_for_function(GROWN, arg=length)
    tab.page.get_by_role("button", name="Detener").click()
    expect(answer).to_have_attribute("aria-busy", "false")
    expect(answer).to_contain_text("Respuesta detenida: este texto no llegó a contrastarse")
    expect(answer.locator(".answer")).to_have_class(re.compile("partial"))
    assert len(answer.locator(".answer").inner_text()) > length
    expect(answer.locator(".facts")).to_have_count(0)
    expect(tab.box).to_be_focused()
    expect(tab.ask_and_wait("perro").locator(".answer")).to_contain_text("oohííbye")


def test_the_conversation_is_sent_along_but_not_what_was_stopped(slow_tab: Tab) -> None:
    sent: list[dict[str, object]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/rag/query"):
            sent.append(json.loads(request.post_data or "{}"))

    slow_tab.page.on("request", note)
    first = slow_tab.ask_and_wait("¿Cómo se dice perro en bora?").locator(".answer").inner_text()
    ask_and_stop(slow_tab)
    slow_tab.ask_and_wait("gato")
    turns = [{"role": "user", "content": "¿Cómo se dice perro en bora?"}, {"role": "assistant", "content": first}]
    assert [request["history"] for request in sent] == [[], turns, turns]


def test_a_follow_up_is_understood_from_what_was_said_before_also_after_a_reload(tab: Tab) -> None:
    tab.ask_and_wait("¿Cómo se dice perro en bora?")
    expect(tab.ask_and_wait("¿Y gato?").locator(".answer [lang=boa]").first).to_have_text("mííchií")
    tab.page.reload()
    answer = tab.ask_and_wait("¿y casa?")
    expect(answer.locator(".answer [lang=boa]").first).to_have_text("jaá")
    expect(answer.locator("mark").first).to_have_text("casa")


def test_the_conversation_outlives_a_reload_and_ends_with_a_new_one(slow_tab: Tab) -> None:
    tab = slow_tab
    tab.ask_and_wait("¿Cómo se dice perro en bora?")
    ask_and_stop(tab)
    shown = tab.page.locator(".answer").all_inner_texts()
    tab.page.reload()
    expect(tab.page.get_by_role("article", name="Respuesta")).to_have_count(2)
    assert tab.page.locator(".answer").all_inner_texts() == shown
    expect(tab.last).to_contain_text("Respuesta detenida")
    tab.page.get_by_role("button", name="Nueva conversación").click()
    expect(tab.page.get_by_role("heading", name="¿Qué palabra buscas hoy?")).to_be_visible()
    tab.page.reload()
    expect(tab.page.get_by_role("article")).to_have_count(0)
    assert tab.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_an_answer_can_be_copied(tab: Tab) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = tab.ask_and_wait("perro")
    answer.get_by_role("button", name="Copiar").click()
    expect(answer.get_by_role("button", name="Copiado")).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == answer.locator(".answer").inner_text()
