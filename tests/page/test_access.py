"""The page by keyboard, by screen reader, on a phone, in the dark."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from page.apps import Apps
from page.standin import Standin
from page.tab import OpenTab, Tab

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 640}
ANNOUNCED = """() => {
    window.announced = [];
    const region = document.getElementById("announcer");
    new MutationObserver(() => window.announced.push(region.textContent)).observe(region, {childList: true});
}"""
FOCUS = """() => {
    const element = document.activeElement;
    const framed = element.id === "question" ? element.parentElement : element;
    const {outlineStyle, outlineWidth} = getComputedStyle(framed);
    return [element.tagName, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}"""
# The label of a box to check is its target; a file is dropped or chosen in a larger place.
SMALL_TARGETS = """() => [...document.querySelectorAll(
    "button, summary, textarea, input:not([type=checkbox], [type=file]), a:not(.skip)")]
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([_, box]) => box.width > 0 && (box.width < 43.9 || box.height < 43.9))
    .map(([element, box]) => `${element.tagName} ${element.textContent} ${box.width}x${box.height}`)"""


def check_with_axe(tab: Tab) -> None:
    """No rule of axe-core is broken, contrast of all text in both colour schemes included."""
    for scheme, rules in (("dark", {"runOnly": ["color-contrast", "link-in-text-block"]}), ("light", {})):
        tab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        results = Axe().run(tab.page, options={"resultTypes": ["violations"], **rules})
        assert results.violations_count == 0, f"{scheme}: {results.generate_report()}"


def background(tab: Tab, scheme: Literal["light", "dark"]) -> str:
    """The page's background in a colour scheme."""
    tab.page.emulate_media(color_scheme=scheme)
    return str(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_every_state_of_the_page_passes_the_accessibility_rules(open_tab: OpenTab, apps: Apps) -> None:
    tab = open_tab(apps.backend.url, viewport=PHONE)
    expect(tab.page.locator(".example")).to_have_count(4)
    expect(tab.chip).to_contain_text("entradas")
    tab.chip.click()
    check_with_axe(tab)
    tab.facts(tab.ask_and_wait("¿Qué significa nuhba en español?"))
    tab.ask_and_wait("peroo")
    check_with_axe(tab)
    assert background(tab, "light") != background(tab, "dark") == "rgb(18, 23, 20)"


def test_troubles_pass_the_accessibility_rules(scripted: Tab) -> None:
    scripted.expects_failures = True
    expect(scripted.ask("lento").locator(".state")).to_contain_text("Redactando")
    check_with_axe(scripted)
    scripted.page.keyboard.press("Escape")
    expect(scripted.ask("roto").locator(".state")).to_contain_text("Algo falló")
    expect(scripted.ask("prisa").get_by_role("alert")).to_be_visible()
    scripted.ask_and_wait("varias")
    check_with_axe(scripted)
    scripted.ask("clave")
    expect(scripted.page.get_by_role("dialog")).to_be_visible()
    check_with_axe(scripted)


def test_a_finished_answer_is_announced_once(tab: Tab) -> None:
    tab.page.evaluate(ANNOUNCED)
    tab.ask_and_wait("¿Cómo se dice perro en bora?")
    announcer = tab.page.locator("#announcer")
    expect(announcer).to_have_text('En bora, "perro" se dice "oohííbye".')
    assert tab.page.evaluate("window.announced.length") == 2
    expect(announcer).to_have_attribute("role", "status")
    # Nothing else in the conversation speaks.
    assert tab.page.locator("main").locator("[aria-live], [role=log], [role=status], [role=alert]").count() == 0


def test_the_keyboard_reaches_everything_and_always_shows_where_it_is(tab: Tab) -> None:
    expect(tab.box).to_be_focused()
    expect(tab.page.locator(".example")).to_have_count(4)
    for _ in range(4):
        tab.page.keyboard.press("Shift+Tab")
    expect(tab.page.get_by_role("link", name="Ir a la pregunta")).to_be_focused()
    seen: list[str] = []
    for _ in range(18):
        tag, visible = tab.page.evaluate(FOCUS)
        assert visible, f"no visible focus on {tag} after {seen}"
        seen.append(tag)
        tab.page.keyboard.press("Tab")
    assert seen == ["A", "A", "A", "BUTTON", "TEXTAREA", *["BUTTON"] * 13]
    tab.page.get_by_role("link", name="Ir a la pregunta").press("Enter")
    expect(tab.box).to_be_focused()


def test_enter_sends_shift_enter_breaks_the_line_and_letters_are_put_in(tab: Tab) -> None:
    tab.page.keyboard.type("uno")
    tab.page.keyboard.press("Shift+Enter")
    tab.page.keyboard.type("dos")
    expect(tab.box).to_have_value("uno\ndos")
    tab.page.get_by_role("button", name="Insertar ɨ", exact=True).press("Enter")
    expect(tab.box).to_have_value("uno\ndosɨ")
    expect(tab.box).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("article", name="Tu pregunta").locator("p")).to_have_text(
        "uno\ndosɨ", use_inner_text=True
    )
    expect(tab.last.locator(".facts")).to_be_visible()


def test_escape_stops_the_answer(scripted: Tab) -> None:
    answer = scripted.ask("lento")
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(answer.locator(".gloss")).to_be_visible()
    scripted.page.keyboard.press("Escape")
    expect(answer).to_have_attribute("aria-busy", "false")
    expect(scripted.page.locator("#announcer")).to_have_text("Detenida.")


def check_that_it_fits(tab: Tab, width: int) -> None:
    """Everything is large enough for a finger, and nothing is to be scrolled sideways."""
    tab.page.set_viewport_size({"width": width, "height": 640})
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert tab.page.evaluate(SMALL_TARGETS) == [], width


def test_a_phone_shows_everything_large_enough_and_without_scrolling_sideways(open_tab: OpenTab, apps: Apps) -> None:
    tab = open_tab(apps.backend.url, viewport=PHONE, has_touch=True, is_mobile=True)
    expect(tab.page.locator(".example")).to_have_count(4)
    for question in ("perro gato casa agua " + "palabra" * 40, ""):
        for width in (360, 320):
            check_that_it_fits(tab, width)
        if question:
            tab.ask_and_wait(question)
    assert tab.page.get_by_role("button", name="Preguntar").evaluate("b => b.getBoundingClientRect().right") <= 320


@pytest.mark.parametrize("height", [340, 400])
def test_the_field_leaves_room_and_nothing_covers_the_answer(open_tab: OpenTab, apps: Apps, height: int) -> None:
    """As beside a phone's keyboard, and at 200% zoom of a small window."""
    tab = open_tab(apps.backend.url, viewport={"width": 360, "height": height})
    tab.ask_and_wait("perro")
    box = tab.ask_and_wait("gato").locator(".gloss").bounding_box()
    dock = tab.page.locator("#form").bounding_box()
    header = tab.page.locator(".bar").bounding_box()
    assert box is not None
    assert dock is not None
    assert header is not None
    assert dock["height"] <= 130
    assert header["y"] + header["height"] <= box["y"]
    assert box["y"] + box["height"] <= dock["y"]


def test_an_answer_appears_gently_where_motion_is_welcome(open_tab: OpenTab, standin: Standin) -> None:
    named = "element => getComputedStyle(element).animationName"
    for motion, name in (("reduce", "none"), ("no-preference", "appear")):
        tab = open_tab(standin.url, reduced_motion=motion)
        assert tab.ask_and_wait("perro").locator(".answer").evaluate(named) == name
