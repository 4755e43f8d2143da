"""What a reader reports on the page, and what the server keeps of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from conftest import wait_until
from page.apps import Apps
from page.tab import OpenTab, Tab
from page.test_access import check_that_it_fits, check_with_axe

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

THANKS = "Gracias, queda anotado."


def reports(url: str, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/rag/reports", params={"kind": kind}).json()["reports"]
    return found


def test_a_fault_of_an_entry_is_reported_by_keyboard_alone(tab: Tab, apps: Apps) -> None:
    answer = tab.ask_and_wait("gato")
    summary = answer.locator(".report summary")
    expect(summary).to_have_text("¿Error?")
    summary.press("Enter")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type("No se dice <b>así</b>")
    tab.page.keyboard.press("Enter")
    expect(answer.locator(".report p")).to_have_text(THANKS)
    expect(summary).to_be_focused()
    expect(tab.page.locator("#announcer")).to_have_text(THANKS)
    wait_until(lambda: len(reports(apps.backend.url, "error")) == 1, "the report is kept")
    kept = reports(apps.backend.url, "error")[0]
    assert kept["note"] == "No se dice <b>así</b>"
    assert "mííchií" in kept["content"]


def test_a_missing_word_is_reported_once(tab: Tab, apps: Apps) -> None:
    answer = tab.ask_and_wait("¿Cómo se dice zorfano en bora?")
    button = answer.get_by_role("button", name="Avisar de que falta")
    button.press("Enter")
    thanks = answer.get_by_role("button", name=THANKS)
    expect(thanks).to_be_focused()
    thanks.click(force=True)
    wait_until(lambda: len(reports(apps.backend.url, "wanted")) == 1, "the report is kept")
    assert [(row["subject"], row["count"]) for row in reports(apps.backend.url, "wanted")] == [("zorfano", 1)]
    assert "zorfano" in [row["subject"] for row in reports(apps.backend.url, "missing")]


def test_one_opinion_of_an_answer_is_taken(tab: Tab, apps: Apps) -> None:
    answer = tab.ask_and_wait("perro")
    answer.get_by_role("button", name="No me sirve").click()
    expect(answer.locator(".opinions button:visible")).to_have_text([THANKS])
    wait_until(lambda: len(reports(apps.backend.url, "unhelpful")) == 1, "the report is kept")
    kept = reports(apps.backend.url, "unhelpful")[0]
    assert "oohííbye" in kept["content"]
    assert (kept["note"], kept["count"]) == ("extractive, dictionary", 1)
    assert reports(apps.backend.url, "helpful") == []


def test_what_cannot_be_sent_can_be_pressed_again(tab: Tab) -> None:
    tab.expects_failures = True
    answer = tab.ask_and_wait("luna")
    tab.page.route("**/api/rag/reports", lambda route: route.abort())
    helpful = answer.get_by_role("button", name="Me sirve", exact=True)
    helpful.click()
    failed = answer.get_by_role("button", name="No se pudo enviar")
    expect(failed).to_be_focused()
    tab.page.unroute("**/api/rag/reports")
    failed.click()
    expect(answer.get_by_role("button", name=THANKS)).to_be_focused()


def test_a_server_that_takes_no_reports_is_shown_none_of_it(open_tab: OpenTab, apps: Apps) -> None:
    with apps.second_backend(REPORTS="false") as silent:
        tab = open_tab(silent.url)
        answer = tab.ask_and_wait("gato")
        tab.ask_and_wait("zorfano")
        expect(answer.locator(".report summary")).to_be_hidden()
        expect(tab.page.get_by_role("button", name="Me sirve")).to_have_count(0)
        expect(tab.page.get_by_role("button", name="Avisar de que falta")).to_have_count(0)


def test_reports_are_accessible_and_fit_a_phone(tab: Tab) -> None:
    for question in ("perro", "zorfano", "perro, gato y zorfano"):
        tab.ask_and_wait(question)
    tab.page.locator("#log .report summary").last.click()
    for width in (1000, 320):
        check_that_it_fits(tab, width)
        check_with_axe(tab)
