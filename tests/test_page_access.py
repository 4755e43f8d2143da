"""The page by keyboard, by screen reader, on a phone, in the dark."""

from __future__ import annotations

from typing import Literal

import pytest

from page_apps import Apps
from page_standin import FINAL, Standin
from page_tab import OpenTab, Tab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_package = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
expect = sync_api.expect
pytest_plugins = ["page_browser"]
pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 640}
ANNOUNCED = """() => {
    window.announced = [];
    const region = document.getElementById("announcer");
    new MutationObserver(() => window.announced.push(region.textContent)).observe(region, {childList: true});
}"""
PLACES = """() => {
    window.places = [];
    const look = () => {
        const answer = document.querySelector(".replied");
        const top = (name) => answer.querySelector(name).getBoundingClientRect().top;
        if (answer?.querySelector(".sources")) window.places.push([answer.ariaBusy, top(".answer"), top(".sources")]);
        requestAnimationFrame(look);
    };
    look();
}"""
FOCUS = """() => {
    const element = document.activeElement;
    const framed = element.id === "question" ? element.form : element;
    const {outlineStyle, outlineWidth} = getComputedStyle(framed);
    return [element.tagName, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, summary, textarea, input")]
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([_, box]) => box.width > 0 && (box.width < 43.9 || box.height < 43.9))
    .map(([element, box]) => `${element.tagName} ${element.textContent} ${box.width}x${box.height}`)"""


def check_with_axe(tab: Tab) -> None:
    """No rule of axe-core is broken, contrast of all text included."""
    results = axe_package.Axe().run(tab.page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_the_page_passes_the_accessibility_rules(
    open_tab: OpenTab, apps: Apps, scheme: Literal["light", "dark"]
) -> None:
    tab = open_tab(apps.backend.url, color_scheme=scheme, viewport=PHONE)
    expect(tab.page.locator(".suggestion")).to_have_count(4)
    check_with_axe(tab)
    answer = tab.ask_and_wait("¿Qué significa nuhba en español?")
    expect(answer.locator("mark").first).to_be_visible()
    check_with_axe(tab)
    dark = tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 20)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_troubles_pass_the_accessibility_rules(scripted: Tab, scheme: Literal["light", "dark"]) -> None:
    scripted.expects_failures = True
    scripted.page.emulate_media(color_scheme=scheme)
    expect(scripted.ask("lento")).to_contain_text("poco a poco")
    scripted.page.keyboard.press("Escape")
    expect(scripted.ask("roto").get_by_role("alert")).to_be_visible()
    scripted.ask_and_wait("degradado")
    expect(scripted.banner).to_be_visible()
    check_with_axe(scripted)
    scripted.ask("clave")
    expect(scripted.page.get_by_role("dialog")).to_be_visible()
    check_with_axe(scripted)


def test_a_finished_answer_is_announced_once_and_its_pieces_never(tab: Tab) -> None:
    tab.page.evaluate(ANNOUNCED)
    answer = tab.ask_and_wait("¿Cómo se dice perro en bora?").locator(".answer").inner_text()
    assert tab.page.evaluate("window.announced") == ["Buscando en el diccionario…", answer]
    announcer = tab.page.locator("#announcer")
    expect(announcer).to_have_attribute("role", "status")
    expect(announcer.locator("[lang=boa]").first).to_have_text("oohííbye")
    # Nothing else on the page speaks while the answer is written.
    assert tab.page.locator("main").locator("[aria-live], [role=log], [role=status], [role=alert]").count() == 0


def test_the_checked_answer_takes_the_streamed_ones_place_without_a_jump(scripted: Tab) -> None:
    scripted.page.evaluate(PLACES)
    expect(scripted.ask_and_wait("corto").locator(".answer")).to_have_text("Corto.")
    scripted.page.evaluate("new Promise(requestAnimationFrame)")
    places = scripted.page.evaluate("window.places")
    writing = [place for place in places if place[0] == "true"][-1]
    assert places[-1][0] == "false"
    assert places[-1][1:] == pytest.approx(writing[1:], abs=1)
    # The room of the longer text is given back with the next question, when everything moves anyway.
    height = scripted.last.locator(".answer").bounding_box()
    scripted.ask_and_wait("perro")
    after = scripted.page.locator(".answer").first.bounding_box()
    assert height is not None
    assert after is not None
    assert after["height"] < height["height"] / 2


def test_the_room_of_a_longer_text_closes_gently_where_motion_is_welcome(open_tab: OpenTab, standin: Standin) -> None:
    tab = open_tab(standin.url, reduced_motion="no-preference")
    answer = tab.ask_and_wait("corto").locator(".answer")
    assert "min-height" in answer.evaluate("element => getComputedStyle(element).transitionProperty")
    tab.page.wait_for_function("() => document.querySelector('.answer').offsetHeight < 40")


def test_the_keyboard_reaches_everything_and_always_shows_where_it_is(tab: Tab) -> None:
    expect(tab.box).to_be_focused()
    expect(tab.page.locator(".suggestion")).to_have_count(4)
    for _ in range(5):
        tab.page.keyboard.press("Shift+Tab")
    expect(tab.page.get_by_role("link", name="Ir a la pregunta")).to_be_focused()
    seen: list[str] = []
    for _ in range(10):
        tag, visible = tab.page.evaluate(FOCUS)
        assert visible, f"no visible focus on {tag} after {seen}"
        seen.append(tag)
        tab.page.keyboard.press("Tab")
    assert seen == ["A", *["BUTTON"] * 4, "TEXTAREA", *["BUTTON"] * 4]
    tab.page.get_by_role("link", name="Ir a la pregunta").press("Enter")
    expect(tab.box).to_be_focused()


def test_enter_sends_shift_enter_breaks_the_line_and_letters_are_put_in(tab: Tab) -> None:
    tab.page.keyboard.type("uno")
    tab.page.keyboard.press("Shift+Enter")
    tab.page.keyboard.type("dos")
    expect(tab.box).to_have_value("uno\ndos")
    tab.page.get_by_role("button", name="Insertar i barrada", exact=True).press("Enter")
    expect(tab.box).to_have_value("uno\ndosɨ")
    expect(tab.box).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("article", name="Tu pregunta")).to_have_text("uno\ndosɨ", use_inner_text=True)
    expect(tab.last.locator(".facts")).to_be_visible()


def test_escape_stops_the_answer(scripted: Tab) -> None:
    answer = scripted.ask("lento")
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(answer).to_contain_text("poco a poco")
    scripted.page.keyboard.press("Escape")
    expect(answer).to_have_attribute("aria-busy", "false")
    expect(scripted.page.locator("#announcer")).to_have_text("Respuesta detenida.")


@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_shows_everything_large_enough_and_without_scrolling_sideways(
    open_tab: OpenTab, apps: Apps, width: int
) -> None:
    tab = open_tab(apps.backend.url, viewport={**PHONE, "width": width}, has_touch=True, is_mobile=True)
    expect(tab.page.locator(".suggestion")).to_have_count(4)
    for _ in range(2):
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.page.evaluate(SMALL_TARGETS) == []
        tab.ask_and_wait("perro gato casa agua " + "palabra" * 40)
    assert tab.page.get_by_role("button", name="Preguntar").evaluate("b => b.getBoundingClientRect().right") <= width


def test_motion_stops_where_it_is_not_wanted(open_tab: OpenTab, apps: Apps) -> None:
    moving = """() => {
        const bar = document.createElement("p");
        bar.className = "waiting";
        document.body.append(bar);
        return getComputedStyle(bar, "::before").animationName;
    }"""
    assert open_tab(apps.backend.url, reduced_motion="reduce").page.evaluate(moving) == "none"
    assert open_tab(apps.backend.url, reduced_motion="no-preference").page.evaluate(moving) == "drift"


def test_a_scripted_answer_replaces_what_was_streamed(scripted: Tab) -> None:
    answer = scripted.ask_and_wait("perro")
    expect(answer.locator(".answer")).to_have_text(FINAL["answer"])
    for text in ("1,2 s (búsqueda 8 ms)", "completada con el diccionario", "smol"):
        expect(answer.locator(".facts")).to_contain_text(text)
