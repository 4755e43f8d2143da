"""Whatever a document or a question holds is text to the page, and nothing leaves the page's own server."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from page.apps import Apps
from page.tab import OpenTab, Tab

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

HACK = "document.title='hacked'"
SCRIPT = f"<script>{HACK}</script>"
IMAGE = f'<img src="/x.png" onerror="{HACK}">'
LINK = f'<a href="javascript:{HACK}">pulsa</a> [pulsa](javascript:{HACK})'
BIDI = "\u202eodrazolliug\u202c\u2066\u200f"
BIDI_CONTROLS = "\u202e\u202c\u2066\u200f"


@pytest.fixture(scope="module")
def apps_with_traps(apps: Apps) -> Apps:
    pair = {"lemma": "guillorazo", "gloss": f"{SCRIPT} {IMAGE}", "pos": f"<b>{IMAGE}</b>", "direction": "es_bora"}
    apps.add_documents(
        {"id": "trap-pair", "kind": "dictionary", "content": f"guillorazo: {IMAGE}", "metadata": pair},
        {"id": "trap-text", "kind": "text", "content": f"El guillorazo {SCRIPT} {IMAGE} {LINK} {BIDI} canta."},
    )
    return apps


def test_markup_in_documents_stays_text_now_and_after_a_reload(tab: Tab, apps_with_traps: Apps) -> None:
    tab.ask_and_wait("guillorazo")
    tab.ask_and_wait("¿Qué canta el guillorazo?")
    log = tab.page.locator("#log")
    for _ in range(2):
        expect(log.locator(".gloss").first).to_have_text(f"{SCRIPT} {IMAGE}")
        expect(log.locator(".head i").first).to_have_text(f"<b>{IMAGE}</b>")
        passage = log.locator(".passage").filter(has_text="canta").first
        passage.locator("summary").click()
        expect(passage.locator("p")).to_contain_text(f"El guillorazo {SCRIPT} {IMAGE} {LINK}")
        assert tab.page.locator("#log").locator("script, img, a, [onerror], [style*=url]").count() == 0
        assert not set(BIDI_CONTROLS) & set(tab.page.locator("#log").inner_text())
        assert tab.page.title() == "Mentor de bora"
        tab.page.reload()
    assert not [url for url in tab.requests if "x.png" in url]


def test_markup_in_a_question_stays_text(tab: Tab) -> None:
    question = f"perro {IMAGE}{SCRIPT}"
    tab.ask_and_wait(question)
    expect(tab.page.get_by_role("article", name="Tu pregunta")).to_contain_text(question)
    assert tab.page.locator("#log").locator("script, img").count() == 0
    assert tab.page.title() == "Mentor de bora"


def test_markup_in_lists_and_entries_stays_text(tab: Tab, apps_with_traps: Apps) -> None:
    page = tab.page
    page.goto(f"{apps_with_traps.backend.url}/?dictionary=es&filter=guillorazo")
    expect(page.locator("#words a")).to_have_text([f"guillorazo {SCRIPT} {IMAGE}"])
    page.locator("#words a").click()
    expect(page.locator("#entry .gloss")).to_have_text(f"{SCRIPT} {IMAGE}")
    assert page.locator("#dictionary").locator("script, img, [onerror]").count() == 0
    assert page.title() == "guillorazo · Diccionario · Mentor de bora"
    page.goto(f"{apps_with_traps.backend.url}/?dictionary=es&filter={quote(IMAGE)}")
    expect(page.locator("#listed")).to_contain_text(IMAGE)
    assert page.locator("#dictionary").locator("img").count() == 0


def test_files_are_fetched_early_and_only_once(open_tab: OpenTab, apps: Apps) -> None:
    tab = open_tab(apps.backend.url, locale="es-PE")  # with an option of its own: a browser that has nothing yet
    modules = {url for url in tab.requests if url.endswith(".js")}
    preloaded = tab.page.locator("link[rel=modulepreload], script[src]").evaluate_all(
        "all => all.map(e => e.href || e.src)"
    )
    assert modules == set(preloaded)
    for path in ("/", "/app.js", "/texts/es.js", "/styles/page.css"):
        first = httpx.get(apps.backend.url + path)
        assert first.headers["cache-control"] == "no-cache"
        again = httpx.get(apps.backend.url + path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_policy_admits_nothing_inline_and_nobody_else(tab: Tab, apps: Apps) -> None:
    policy = httpx.get(apps.backend.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    tab.ask_and_wait("perro")
    paths = {url.removeprefix(tab.origin) for url in tab.requests}
    assert {"/", "/app.js", "/page.json", "/api/rag/query"} <= paths
