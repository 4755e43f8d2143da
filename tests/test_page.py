"""The chat page in a real browser, in front of a stand-in backend that answers from a script."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Literal

import pytest

import page_standin
from page_standin import FINAL, TRAP, Standin

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Seen:
    """What the browser noticed while a test ran."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def backend() -> Iterator[Standin]:
    standin = page_standin.start()
    yield standin
    standin.kill()


@pytest.fixture
def doomed() -> Iterator[Standin]:
    """A stand-in of its own for a test that kills it."""
    standin = page_standin.start()
    yield standin
    standin.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def page(browser: Browser, backend: Standin, seen: Seen) -> Iterator[Page]:
    context = browser.new_context(locale="es-PE")
    tab = context.new_page()
    tab.on("request", lambda request: seen.requests.append(request.url))
    tab.on("pageerror", lambda error: seen.errors.append(str(error)))
    tab.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    tab.goto(backend.url)
    yield tab
    context.close()


def ask(page: Page, text: str) -> Locator:
    """Type a question, send it with Enter, and return the newest answer."""
    page.get_by_role("textbox", name="Tu pregunta").fill(text)
    page.keyboard.press("Enter")
    return page.get_by_role("article", name="Respuesta").last


def test_the_final_answer_replaces_what_was_streamed(page: Page, backend: Standin, seen: Seen) -> None:
    answer = ask(page, "¿Cómo se dice perro en bora?")
    expect(answer.locator(".answer")).to_have_text("Perro se dice oohííbye.")
    expect(answer.locator(".answer [lang=boa]")).to_have_text("oohííbye")
    expect(answer.get_by_role("listitem")).to_have_text(["perrom.oohííbyediccionario"])
    facts = answer.locator(".facts")
    for text in ("servicio", "1,2 s", "completada con el diccionario", "smol"):
        expect(facts).to_contain_text(text)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_role("button", name="Preguntar")).to_be_visible()
    assert seen.errors == []
    assert f"{backend.url}/api/rag/query" in seen.requests
    assert all(url.startswith(backend.url) for url in seen.requests)


def test_a_suggestion_asks_and_a_new_conversation_clears(page: Page, seen: Seen) -> None:
    page.get_by_role("button", name="¿Cómo se dice agua en bora?").click()
    expect(page.locator(".answer")).to_have_text("Perro se dice oohííbye.")
    page.get_by_role("button", name="Nueva conversación").click()
    expect(page.get_by_role("article")).to_have_count(0)
    expect(page.get_by_role("heading", name="¿Qué palabra buscas hoy?")).to_be_visible()
    assert seen.errors == []


def test_the_conversation_so_far_is_sent_as_history(page: Page) -> None:
    expect(ask(page, "perro").locator(".facts")).to_be_visible()
    echoed = ask(page, "eco").locator(".answer")
    expect(echoed).to_contain_text("assistant")
    expected = [{"role": "user", "content": "perro"}, {"role": "assistant", "content": FINAL["answer"]}]
    assert json.loads(echoed.inner_text()) == expected


def test_degraded_answers_raise_a_banner_until_one_is_not(page: Page) -> None:
    expect(ask(page, "degradado").locator(".facts")).to_contain_text("modelo local")
    expect(page.locator("#banner")).to_contain_text("responde el modelo local")
    expect(page.locator("#banner")).to_be_in_viewport()
    expect(ask(page, "perro").locator(".facts")).to_contain_text("servicio")
    expect(page.locator("#banner")).to_be_hidden()


def test_stop_ends_the_answer_and_the_backend_notices(page: Page, backend: Standin) -> None:
    answer = ask(page, "lento, y se detiene")
    expect(answer).to_contain_text("poco a poco poco a poco")
    page.get_by_role("button", name="Detener").click()
    expect(answer).to_contain_text("Respuesta detenida")
    expect(answer.locator(".facts")).to_have_count(0)
    deadline = monotonic() + 10
    while "lento, y se detiene" not in backend.cancelled():
        assert monotonic() < deadline, "the backend went on generating"
        sleep(0.05)
    expect(ask(page, "perro").locator(".facts")).to_be_visible()


def test_a_backend_killed_while_answering_is_said_clearly(page: Page, doomed: Standin) -> None:
    page.goto(doomed.url)
    answer = ask(page, "lento")
    expect(answer).to_contain_text("poco a poco")
    doomed.kill()
    expect(answer.get_by_role("alert")).to_contain_text("La conexión se cortó")
    expect(ask(page, "perro").get_by_role("alert")).to_contain_text("No se puede contactar con el servidor")


def test_an_error_is_explained_in_spanish_with_its_reference(page: Page) -> None:
    problem = ask(page, "caído").get_by_role("alert")
    expect(problem).to_contain_text("El diccionario no está disponible")
    expect(problem).to_contain_text("r-7")


def test_an_error_event_in_the_stream_marks_the_text_as_unfinished(page: Page) -> None:
    answer = ask(page, "roto")
    expect(answer.get_by_role("alert")).to_contain_text("El modelo se reinició")
    expect(answer.locator(".answer")).to_have_class(re.compile("partial"))


def test_markup_in_answers_and_sources_stays_text(page: Page, seen: Seen) -> None:
    answer = ask(page, "trampa")
    expect(answer.locator(".answer")).to_have_text(TRAP)
    expect(answer.locator(".content")).to_have_text(TRAP)
    assert answer.locator("img, script").count() == 0
    assert page.title() == "Mentor de bora"
    assert seen.errors == []


def test_an_answer_can_be_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "perro").get_by_role("button", name="Copiar").click()
    expect(page.get_by_role("button", name="Copiado")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == FINAL["answer"]


def test_a_key_is_asked_for_once_and_kept_in_this_tab_only(page: Page) -> None:
    ask(page, "clave")
    page.get_by_label("Clave de acceso").fill("secreta")
    page.get_by_role("button", name="Continuar").click()
    expect(page.locator(".answer")).to_have_text("Perro se dice oohííbye.")
    expect(ask(page, "clave").locator(".facts")).to_be_visible()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_the_keyboard_is_enough_and_enter_with_shift_breaks_the_line(page: Page) -> None:
    box = page.get_by_role("textbox", name="Tu pregunta")
    expect(box).to_be_focused()
    page.keyboard.type("uno")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("dos")
    expect(box).to_have_value("uno\ndos")
    page.get_by_role("button", name="Insertar i barrada", exact=True).press("Enter")
    expect(box).to_have_value("uno\ndosɨ")
    expect(box).to_be_focused()


def test_screen_readers_get_a_polite_log_that_is_busy_while_it_grows(page: Page) -> None:
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    answer = ask(page, "lento")
    expect(answer).to_have_attribute("aria-busy", "true")
    page.keyboard.press("Escape")
    expect(answer).to_have_attribute("aria-busy", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.emulate_media(color_scheme=scheme)
    expect(ask(page, "palabra" * 40).locator(".facts")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
