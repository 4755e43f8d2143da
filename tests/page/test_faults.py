"""What the page says when something breaks, and that it notices when it works again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from page.apps import Apps
from page.standin import FINAL, Standin
from page.tab import OpenTab, Tab

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

RECOVERY_MS = 60_000
SHORTER = "() => { const real = AbortSignal.timeout; AbortSignal.timeout = (ms) => real.call(AbortSignal, ms / 20); }"

NO_STORAGE = """Object.defineProperty(window, "sessionStorage", {
    get() { throw new DOMException("denied", "SecurityError"); },
});"""


@pytest.fixture
def doomed(open_tab: OpenTab) -> Iterator[Standin]:
    """A scripted backend of its own for a test that kills it."""
    standin = Standin()
    yield standin
    standin.stop()


def test_a_killed_service_shows_in_the_chip_and_costs_no_word(tab: Tab, apps: Apps) -> None:
    expect(tab.chip).to_contain_text("modelo listo")
    apps.add_documents({"id": "maloca", "kind": "text", "content": "La maloca es la casa grande de la comunidad."})
    apps.llm.kill()
    try:
        expect(tab.ask_and_wait("¿Cómo se dice gato en bora?").locator(".gloss")).to_have_text("mííchií")
        answer = tab.ask_and_wait("maloca")
        expect(answer.locator(".why")).to_contain_text("El modelo de lenguaje no está disponible")
        expect(tab.chip).to_contain_text("sin modelo")
        expect(tab.banner).to_be_hidden()
    finally:
        apps.llm.start()
        apps.llm.wait_until_ready()
    # Nobody asks anything meanwhile.
    expect(tab.chip).to_contain_text("modelo listo", timeout=RECOVERY_MS)


def test_a_stopped_database_is_said_and_the_question_can_be_asked_again_when_it_is_back(tab: Tab, apps: Apps) -> None:
    tab.expects_failures = True
    apps.database.stop()
    try:
        answer = tab.ask("¿Cómo se dice perro en bora?")
        problem = answer.get_by_role("alert")
        expect(problem).to_contain_text("El diccionario no está disponible", timeout=RECOVERY_MS)
        expect(problem).to_contain_text("dentro de 5 segundos")
        expect(problem).to_contain_text("Referencia:")
        expect(tab.banner).to_contain_text("La base de datos no responde", timeout=RECOVERY_MS)
    finally:
        apps.database.start()
    expect(tab.banner).to_be_hidden(timeout=RECOVERY_MS)
    answer.get_by_role("button", name="Reintentar").press("Enter")
    expect(tab.last.locator(".gloss")).to_have_text("oohííbye")
    expect(tab.page.get_by_role("article")).to_have_count(2)


def test_a_server_killed_while_answering_leaves_the_entry_and_is_asked_again_when_it_is_back(
    open_tab: OpenTab, doomed: Standin
) -> None:
    tab = open_tab(doomed.url)
    tab.expects_failures = True
    answer = tab.ask("lento")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")
    doomed.kill()
    expect(answer.locator(".state")).to_contain_text("La conexión se cortó")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")
    expect(tab.banner).to_contain_text("No se puede contactar con el servidor")
    expect(tab.chip).to_contain_text("sin conexión")
    again = tab.ask("perro")
    expect(again.get_by_role("alert")).to_contain_text("No se puede contactar con el servidor")
    doomed.start()
    expect(tab.banner).to_be_hidden(timeout=RECOVERY_MS)
    expect(tab.page.locator("#announcer")).to_have_text("El servidor vuelve a responder.")
    again.get_by_role("button", name="Reintentar").click()
    expect(tab.last.locator(".answer")).to_have_text(FINAL["answer"])


def test_an_answer_says_which_model_made_it_and_what_was_missing(scripted: Tab) -> None:
    expect(scripted.chip).to_contain_text("72 entradas · modelo de reserva")
    expect(scripted.ask_and_wait("reserva").locator(".facts summary")).to_contain_text("smol (modelo de reserva)")
    answer = scripted.ask_and_wait("sin modelo")
    expect(answer.locator(".why")).to_contain_text("muchas preguntas en espera")
    expect(answer.locator(".facts summary")).to_have_text("Texto del diccionario")
    answer = scripted.ask_and_wait("perro")
    expect(answer.locator(".why")).to_have_count(0)
    facts = scripted.facts(answer)
    assert all(text in facts for text in ("1,2 s", "8 ms", "completada", "smol"))


def test_stopping_closes_the_connection_so_that_the_backend_stops_too(scripted: Tab, standin: Standin) -> None:
    answer = scripted.ask("lento, y se detiene")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")
    scripted.page.get_by_role("button", name="Detener").click()
    expect(answer.locator(".state")).to_contain_text("Detenida. Queda lo que se encontró.")
    standin.wait_until_cancelled("lento, y se detiene")


@pytest.mark.parametrize("hangs", [False, True])
def test_after_ten_seconds_the_entry_stays_with_one_line(open_tab: OpenTab, standin: Standin, *, hangs: bool) -> None:
    tab = open_tab(standin.url)
    if hangs:
        tab.page.evaluate(SHORTER)
    answer = tab.ask("lento" if hangs else "tarde")
    expect(answer.locator(".state")).to_contain_text("El modelo tardó más de diez segundos. Queda lo que se encontró.")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")
    expect(answer.get_by_role("alert")).to_have_count(0)


def test_too_many_questions_are_refused_with_the_time_to_wait(scripted: Tab) -> None:
    scripted.expects_failures = True
    problem = scripted.ask("prisa").get_by_role("alert")
    expect(problem).to_contain_text("muchas preguntas en poco tiempo")
    expect(problem).to_contain_text("dentro de 12 segundos")
    expect(problem).to_contain_text("r-7")


def test_an_error_event_in_the_stream_leaves_the_entry(scripted: Tab) -> None:
    answer = scripted.ask("roto")
    expect(answer.locator(".state")).to_contain_text("Algo falló en el servidor")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")


def test_a_list_is_a_table_with_the_missing_words_marked(scripted: Tab) -> None:
    rows = scripted.ask_and_wait("varias").get_by_role("row")
    expect(rows).to_have_text(["EspañolBora", "perrooohííbye", "gatomííchií", "zorrono está en el diccionario"])


def test_an_explanation_comes_below_the_entry_when_it_is_wanted(scripted: Tab) -> None:
    answer = scripted.ask_and_wait("perro")
    answer.get_by_role("button", name="Explicar").click()
    expect(answer.locator(".answer").last).to_have_text("Oohííbye es un animal.")
    expect(answer.get_by_role("button", name="Explicar")).to_have_count(0)
    expect(scripted.page.get_by_role("article")).to_have_count(2)


def test_a_refused_key_is_asked_for_again_and_the_right_one_is_kept_in_this_tab_only(scripted: Tab) -> None:
    scripted.expects_failures = True
    scripted.ask("clave")
    dialog = scripted.page.get_by_role("dialog")
    expect(dialog).to_contain_text("pide una clave de acceso")
    scripted.page.get_by_label("Clave de acceso").fill("falsa")
    scripted.page.get_by_role("button", name="Continuar").click()
    expect(dialog).to_contain_text("no aceptó esa clave")
    scripted.page.get_by_label("Clave de acceso").fill("secreta")
    scripted.page.keyboard.press("Enter")
    expect(scripted.last.locator(".answer")).to_have_text(FINAL["answer"])
    scripted.ask_and_wait("clave")
    assert scripted.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_a_browser_that_stores_nothing_for_the_page_gets_answers_and_keeps_the_key_meanwhile(
    open_tab: OpenTab, standin: Standin
) -> None:
    tab = open_tab(standin.url, locale="es-PE")  # with an option of its own: not the shared tab
    tab.expects_failures = True
    tab.page.add_init_script(NO_STORAGE)
    tab.page.reload()
    expect(tab.ask_and_wait("perro").locator(".answer")).to_have_text(FINAL["answer"])
    tab.ask("clave")
    tab.page.get_by_label("Clave de acceso").fill("secreta")
    tab.page.keyboard.press("Enter")
    expect(tab.last.locator(".answer")).to_have_text(FINAL["answer"])
    tab.ask_and_wait("clave")
