"""What the page says when something breaks, and that it notices when it is mended."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import page_standin
from page_apps import Apps
from page_standin import FINAL, Standin
from page_tab import OpenTab, Tab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytest_plugins = ["page_browser"]
pytestmark = pytest.mark.browser

RECOVERY_MS = 60_000


@pytest.fixture
def doomed(open_tab: OpenTab) -> Iterator[Standin]:
    """A scripted backend of its own for a test that kills it."""
    standin = page_standin.start()
    yield standin
    standin.kill()


def test_a_killed_service_raises_a_banner_that_goes_when_it_is_back(tab: Tab, apps: Apps) -> None:
    assert "servicio" in tab.ask_and_wait("perro").locator(".facts").inner_text()
    expect(tab.banner).to_be_hidden()
    apps.llm.kill()
    try:
        answer = tab.ask_and_wait("¿Cómo se dice gato en bora?")
        expect(answer.locator(".answer")).to_contain_text("mííchií")
        expect(answer.locator(".facts")).to_contain_text("solo diccionario")
        expect(tab.banner).to_contain_text("No hay ningún modelo de lenguaje disponible")
        expect(tab.banner).to_be_in_viewport()
    finally:
        apps.llm.start()
        apps.llm.wait_until_ready()
    # Nobody asks anything meanwhile.
    expect(tab.banner).to_be_hidden(timeout=RECOVERY_MS)
    expect(tab.page.locator("#announcer")).to_contain_text("vuelve a estar disponible")
    expect(tab.ask_and_wait("perro").locator(".facts")).to_contain_text("servicio")


def test_a_stopped_database_is_said_and_the_question_can_be_asked_again_when_it_is_back(tab: Tab, apps: Apps) -> None:
    tab.expects_failures = True
    apps.database.stop()
    try:
        answer = tab.ask("¿Cómo se dice perro en bora?")
        problem = answer.get_by_role("alert")
        expect(problem).to_contain_text("El diccionario no está disponible", timeout=RECOVERY_MS)
        expect(problem).to_contain_text("dentro de 5 segundos")
        expect(problem).to_contain_text("Referencia:")
        expect(answer.locator(".answer")).to_have_count(0)
        expect(tab.banner).to_contain_text("La base de datos no responde")
    finally:
        apps.database.start()
    expect(tab.banner).to_be_hidden(timeout=RECOVERY_MS)
    answer.get_by_role("button", name="Reintentar").press("Enter")
    expect(tab.last.locator(".answer")).to_contain_text("oohííbye")
    expect(tab.page.get_by_role("article")).to_have_count(2)


def test_a_server_killed_while_answering_is_said_and_asked_again_when_it_is_back(
    open_tab: OpenTab, doomed: Standin
) -> None:
    tab = open_tab(doomed.url)
    tab.expects_failures = True
    answer = tab.ask("lento")
    expect(answer).to_contain_text("poco a poco")
    doomed.kill()
    expect(answer.get_by_role("alert")).to_contain_text("La conexión se cortó")
    expect(answer.locator(".answer")).to_have_class(re.compile("partial"))
    expect(tab.banner).to_contain_text("Se perdió la conexión")
    again = tab.ask("perro")
    expect(again.get_by_role("alert")).to_contain_text("No se puede contactar con el servidor")
    doomed.restart()
    expect(tab.banner).to_be_hidden(timeout=RECOVERY_MS)
    again.get_by_role("button", name="Reintentar").click()
    expect(tab.last.locator(".answer")).to_have_text(FINAL["answer"])


def test_an_answer_of_the_local_model_is_told_until_one_is_of_the_service(scripted: Tab) -> None:
    expect(scripted.ask_and_wait("degradado").locator(".facts")).to_contain_text("modelo local")
    expect(scripted.banner).to_contain_text("responde el modelo local")
    expect(scripted.ask_and_wait("perro").locator(".facts")).to_contain_text("servicio")
    expect(scripted.banner).to_be_hidden()


def test_stopping_closes_the_connection_so_that_the_backend_stops_too(scripted: Tab, standin: Standin) -> None:
    answer = scripted.ask("lento, y se detiene")
    expect(answer).to_contain_text("poco a poco poco a poco")
    scripted.page.get_by_role("button", name="Detener").click()
    expect(answer).to_contain_text("Respuesta detenida")
    standin.wait_until_cancelled("lento, y se detiene")


def test_too_many_questions_are_refused_with_the_time_to_wait(scripted: Tab) -> None:
    scripted.expects_failures = True
    problem = scripted.ask("prisa").get_by_role("alert")
    expect(problem).to_contain_text("muchas preguntas en poco tiempo")
    expect(problem).to_contain_text("dentro de 12 segundos")
    expect(problem).to_contain_text("r-7")


def test_an_error_event_in_the_stream_marks_the_text_as_unfinished(scripted: Tab) -> None:
    answer = scripted.ask("roto")
    expect(answer.get_by_role("alert")).to_contain_text("El modelo se reinició")
    expect(answer.locator(".answer")).to_have_class(re.compile("partial"))
    expect(answer.locator(".answer")).to_have_text("Se dice")


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
