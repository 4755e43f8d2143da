"""The dictionary from A to Z in a browser: lists, letters, the filter, entries, their addresses."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from page.apps import Apps
from page.tab import OpenTab, Tab
from page.test_access import PHONE, check_that_it_fits, check_with_axe

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

WORDS = "#words a"
HARPOON = {"lemma": "arponazo", "gloss": "tsubátsa; dsɨ́ɨdsɨ", "pos": "m.", "direction": "es_bora", "part": "entry"}
PARTS = (
    {"lemma": "dar un arponazo", "gloss": "tsubátsa ájcu", "part": "subentry"},
    {"lemma": "El arponazo falló.", "gloss": "Tsubátsa ímityú.", "part": "example"},
)


@pytest.fixture(scope="module")
def apps_with_entry(apps: Apps) -> Apps:
    more = [{**part, "direction": "es_bora", "parent_lemma": "arponazo"} for part in PARTS]
    apps.add_documents(
        *(
            {"id": f"es/harpoon-{at}", "kind": "dictionary", "content": metadata["lemma"], "metadata": metadata}
            for at, metadata in enumerate((HARPOON, *more))
        )
    )
    return apps


@pytest.fixture
def listed(open_tab: OpenTab, apps_with_entry: Apps) -> Tab:
    """The list of Spanish words."""
    tab = open_tab(f"{apps_with_entry.backend.url}/?dictionary=es")
    expect(tab.page.locator(WORDS).first).to_be_visible()
    return tab


def letters(tab: Tab) -> list[str]:
    return tab.page.get_by_role("navigation", name="Alfabeto").get_by_role("link").all_inner_texts()


def test_the_header_leads_to_the_dictionary_and_back_and_forward_lead_through_it(tab: Tab, apps: Apps) -> None:
    page, url = tab.page, apps.backend.url
    sections = page.get_by_role("navigation", name="Secciones")
    tab.ask_and_wait("perro")
    sections.get_by_role("link", name="Diccionario").press("Enter")
    expect(page).to_have_url(f"{url}/?dictionary=es")
    heading = page.get_by_role("heading", name="Diccionario")
    expect(heading).to_be_focused()
    expect(sections.get_by_role("link", name="Diccionario")).to_have_attribute("aria-current", "page")
    expect(tab.box).to_be_hidden()
    page.get_by_role("link", name="Bora → español").click()
    page.get_by_role("link", name=re.compile(r"^Ts, \d+ palabras")).press("Enter")
    expect(page).to_have_url(f"{url}/?dictionary=bora&letter=ts")
    current = page.get_by_role("navigation", name="Alfabeto").locator("[aria-current]")
    expect(current).to_have_text("Ts")
    expect(current).to_be_focused()
    expect(page.locator(WORDS).filter(has_text="tsɨ́ɨ́mene")).to_have_text("tsɨ́ɨ́mene niño")
    page.reload()
    expect(page.locator(WORDS).filter(has_text="tsɨ́ɨ́mene")).to_be_visible()
    expect(current).to_have_text("Ts")
    page.go_back()
    expect(page).to_have_url(f"{url}/?dictionary=bora")
    expect(current).to_have_text("Todas")
    page.go_back()
    page.go_back()
    expect(page).to_have_url(f"{url}/?q=perro")
    expect(tab.last.locator(".gloss")).to_be_visible()
    expect(page.get_by_role("article", name="Respuesta")).to_have_count(1)
    page.go_forward()
    expect(page.get_by_role("link", name="Español → bora")).to_have_attribute("aria-current", "true")
    sections.get_by_role("link", name="Preguntar").click()
    expect(tab.box).to_be_focused()


def test_letters_stand_in_the_order_of_the_language(listed: Tab) -> None:
    spanish = letters(listed)
    assert spanish[0] == "Todas"
    assert spanish.index("N") < spanish.index("O")
    listed.page.get_by_role("link", name="Bora → español").click()
    expect(listed.page.get_by_role("link", name=re.compile("^Ts, "))).to_be_visible()
    bora = letters(listed)
    order = ["C", "D", "Ds", "I", "Ɨ", "L", "Ll", "T", "Ts", "U"]
    assert [letter for letter in bora if letter in order] == [letter for letter in order if letter in bora]
    assert {"Ds", "Ɨ", "Ll", "Ts"} <= set(bora)


def test_more_words_come_on_demand_and_the_focus_goes_to_the_first_of_them(listed: Tab) -> None:
    rows, more = listed.page.locator(WORDS), listed.page.get_by_role("button", name="Más palabras")
    expect(rows).to_have_count(50)
    status = listed.page.locator("#listed")
    expect(status).to_have_text(re.compile(r"^50 de \d+ palabras$"))
    total = int(re.findall(r"\d+", status.inner_text())[1])
    more.press("Enter")
    expect(rows).to_have_count(min(100, total))
    expect(rows.nth(50)).to_be_focused()
    expect(listed.page.locator("#announcer")).to_have_text(status.inner_text())
    expect(more).to_be_hidden()
    expect(status).to_have_text(f"{total} palabras")


def test_more_words_can_be_asked_for_again_after_leaving_while_they_came(listed: Tab) -> None:
    page, more = listed.page, listed.page.get_by_role("button", name="Más palabras")
    page.route("**/api/rag/entries?*after=*", lambda _: None)
    more.click()
    expect(more).to_be_disabled()
    page.locator(WORDS).first.click()
    page.get_by_role("link", name="Volver a la lista").click()
    page.unroute("**/api/rag/entries?*after=*")
    more.click()
    expect(page.locator(WORDS).nth(50)).to_be_focused()


def test_the_filter_narrows_the_list_and_leads_to_a_question(listed: Tab) -> None:
    page = listed.page
    field = page.get_by_role("searchbox", name="Filtrar palabras")
    field.fill("ARPO")
    expect(page.locator(WORDS)).to_have_text(["arponazo tsubátsa; dsɨ́ɨdsɨ", "dar un arponazo tsubátsa ájcu"])
    expect(page.locator("#announcer")).to_have_text("2 palabras")
    expect(page).to_have_url(re.compile(r"\?dictionary=es&filter=ARPO$"))
    page.reload()
    expect(field).to_have_value("ARPO")
    expect(page.locator(WORDS)).to_have_count(2)
    page.get_by_role("link", name="Bora → español").click()
    expect(page.locator("#listed")).to_contain_text("Ninguna palabra contiene «ARPO».")
    field.fill("perro")
    page.get_by_role("button", name="Preguntar «perro»").click()
    expect(listed.last.locator(".gloss")).to_have_text("oohííbye")
    expect(page).to_have_url(re.compile(r"\?q=perro$"))


def test_an_entry_has_an_address_and_leads_on(listed: Tab, apps: Apps, open_tab: OpenTab) -> None:
    page = listed.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = page.locator(WORDS).filter(has_text="arponazo").first
    opened.press("Enter")
    address = f"{apps.backend.url}/?entry=es%2Fharpoon-0"
    expect(page).to_have_url(address)
    expect(page.get_by_role("heading", name="arponazo")).to_be_focused()
    expect(page).to_have_title("arponazo · Diccionario · Mentor de bora")
    article = page.get_by_role("article", name="arponazo")
    expect(article.locator(".gloss")).to_have_text("tsubátsa; dsɨ́ɨdsɨ")
    expect(article).to_contain_text("El arponazo falló.")
    expect(article.get_by_role("link", name="dar un arponazo")).to_have_attribute("href", "?entry=es%2Fharpoon-1")
    article.get_by_role("button", name="Copiar enlace").click()
    expect(article.get_by_role("button", name="Copiado")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == address
    page.go_back()
    expect(opened).to_be_focused()
    opened.click()
    article.get_by_role("link", name="Volver a la lista").click()
    expect(opened).to_be_focused()
    # The address alone is enough; nobody came from a list.
    other = open_tab(address)
    other.page.get_by_role("link", name="Volver a la lista").click()
    expect(other.page).to_have_url(f"{apps.backend.url}/?dictionary=es&letter=a")
    other.page.go_back()
    other.page.get_by_role("button", name="Preguntar por esta palabra").click()
    expect(other.last.locator(".head b")).to_have_text("arponazo")


def test_what_cannot_be_shown_is_said_and_tried_again(listed: Tab, apps: Apps) -> None:
    page = listed.page
    listed.expects_failures = True
    away = {"error": {"type": "retrieval_unavailable", "message": "x", "request_id": "r", "retryable": True}}
    page.route("**/api/rag/entries?*", lambda route: route.fulfill(status=503, json=away))
    page.get_by_role("link", name="Bora → español").click()
    expect(page.get_by_role("alert")).to_contain_text("El diccionario no está disponible")
    expect(page.locator(WORDS)).to_have_count(0)
    check_with_axe(listed)
    page.unroute("**/api/rag/entries?*")
    page.get_by_role("button", name="Reintentar").press("Enter")
    expect(page.locator(WORDS).first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.goto(f"{apps.backend.url}/?entry=nobody")
    expect(page.get_by_role("alert")).to_contain_text("no está en el diccionario")
    # A letter of the other language.
    page.goto(f"{apps.backend.url}/?dictionary=es&letter=ts")
    expect(page).to_have_url(f"{apps.backend.url}/?dictionary=es")
    expect(page.locator(WORDS)).to_have_count(50)


def test_every_view_passes_the_accessibility_rules_on_a_narrow_phone(open_tab: OpenTab, apps_with_entry: Apps) -> None:
    tab = open_tab(f"{apps_with_entry.backend.url}/?dictionary=bora", viewport=PHONE, has_touch=True, is_mobile=True)
    expect(tab.page.locator(WORDS).first).to_be_visible()
    for word in ("tsubátsa", None):
        check_that_it_fits(tab, 320)
        check_with_axe(tab)
        if word:
            tab.page.get_by_role("searchbox").fill(word)
            tab.page.locator(WORDS).filter(has_text="dar un").click()
            expect(tab.page.get_by_role("button", name="Copiar enlace")).to_be_visible()


def test_english_is_kept_on_the_way(open_tab: OpenTab, apps: Apps) -> None:
    tab = open_tab(f"{apps.backend.url}/?dictionary=bora&lang=en")
    tab.page.locator(WORDS).first.click()
    expect(tab.page.get_by_role("button", name="Ask about this word")).to_be_visible()
    tab.page.get_by_role("link", name="Back to the list").click()
    expect(tab.page).to_have_url(re.compile(r"\?dictionary=bora&lang=en$"))
