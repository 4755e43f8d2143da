"""Fixtures of the page's tests: a browser that notices every error and every request, and what it talks to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from page.apps import Apps, running_apps
from page.chromium import CHROMIUM, FLAGS
from page.standin import Standin
from page.tab import OpenTab, Tab

# Chromium itself reports every answer above 399 and every refused connection.
_REPORTED_BY_CHROMIUM = re.compile(r"Failed to load resource")
WINDOW: ViewportSize = {"width": 1280, "height": 720}
# Before the first document of a test, whose window has no name yet (Tab.leave).
_BEGIN = "if (window.name !== 'begun') { try { sessionStorage.clear(); } catch {} window.name = 'begun'; }"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        expect.set_options(timeout=60_000)
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def apps(browser: Browser) -> Iterator[Apps]:
    """Both apps, without weights, for all tests of the page: each leaves them as it found them."""
    with running_apps() as running:
        yield running


@pytest.fixture(scope="session")
def standin(browser: Browser) -> Iterator[Standin]:
    """A scripted backend, for what a real one cannot be made to say."""
    running = Standin()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shared_page(browser: Browser) -> Iterator[Page]:
    """The tab of most tests, since opening one takes two seconds of the processor: new to each that opens it."""
    page = browser.new_context(locale="es-PE").new_page()
    page.add_init_script(_BEGIN)
    yield page
    page.context.close()


@pytest.fixture
def open_tab(browser: Browser, shared_page: Page) -> Iterator[OpenTab]:
    """Open tabs; at the end of the test none may have seen an error or asked another server.

    The first one is the shared one, unless it has options of its own.
    """
    opened: list[Tab] = []

    def open_one(
        url: str,
        *,
        viewport: ViewportSize = WINDOW,
        color_scheme: Literal["light", "dark"] = "light",
        reduced_motion: Literal["reduce", "no-preference"] = "reduce",
        **options: Any,
    ) -> Tab:
        is_new = bool(opened or options)
        page = browser.new_context(**{"locale": "es-PE", **options}).new_page() if is_new else shared_page
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)
        tab = Tab(page, "{0.scheme}://{0.netloc}".format(urlsplit(url)))
        opened.append(tab)
        page.goto(url)
        return tab

    yield open_one
    for tab in opened:
        tab.leave()
        if tab.page is not shared_page:
            tab.page.context.close()
    for tab in opened:
        assert tab.elsewhere() == []
        faults = [fault for fault in tab.faults if not (tab.expects_failures and _REPORTED_BY_CHROMIUM.search(fault))]
        assert faults == []


@pytest.fixture
def tab(open_tab: OpenTab, apps: Apps) -> Tab:
    """The page of the real backend."""
    return open_tab(apps.backend.url)


@pytest.fixture
def scripted(open_tab: OpenTab, standin: Standin) -> Tab:
    """The page of the scripted backend."""
    return open_tab(standin.url)
