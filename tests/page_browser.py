"""Fixtures of the page's tests: a browser that notices every error and every request, and what it talks to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import page_standin
from page_apps import Apps, running_apps
from page_chromium import CHROMIUM, FLAGS
from page_standin import Standin
from page_tab import OpenTab, Tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# Chromium itself reports every answer above 399 and every refused connection.
_REPORTED_BY_CHROMIUM = re.compile(r"Failed to load resource")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=60_000)
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
    running = page_standin.start()
    yield running
    running.kill()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Open tabs; at the end of the test none may have seen an error or asked another server."""
    opened: list[Tab] = []

    def open_one(url: str, **options: Any) -> Tab:
        context = browser.new_context(**{"locale": "es-PE", "reduced_motion": "reduce", **options})
        tab = Tab(context.new_page(), "{0.scheme}://{0.netloc}".format(urlsplit(url)))
        opened.append(tab)
        tab.page.goto(url)
        return tab

    yield open_one
    for tab in opened:
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
