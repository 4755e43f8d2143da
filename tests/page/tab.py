"""The page in a browser's tab, with the words for what a reader does with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request


@dataclass
class Tab:
    """A tab that remembers its requests and everything the browser complained of (its policy's breaches too)."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    expects_failures: bool = False
    """The test makes requests fail, which Chromium itself reports."""

    def __post_init__(self) -> None:
        self.page.on("request", self._note_request)
        self.page.on("pageerror", self._note_error)
        self.page.on("console", self._note_message)

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _note_error(self, error: Error) -> None:
        self.faults.append(str(error))

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def leave(self) -> None:
        """Leave a tab in which the next test finds nothing of this one."""
        self.page.remove_listener("request", self._note_request)
        self.page.remove_listener("pageerror", self._note_error)
        self.page.remove_listener("console", self._note_message)
        self.page.unroute_all()
        self.page.context.clear_permissions()
        for other in self.page.context.pages:
            if other is not self.page:
                other.close()
        self.page.goto("about:blank")
        self.page.evaluate("window.name = ''")

    def elsewhere(self) -> list[str]:
        """The requests that went to another server."""
        return [url for url in self.requests if not url.startswith(self.origin + "/")]

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Tu pregunta")

    @property
    def banner(self) -> Locator:
        return self.page.locator("#away")

    @property
    def chip(self) -> Locator:
        return self.page.locator("#chip")

    @property
    def last(self) -> Locator:
        """The newest answer."""
        return self.page.get_by_role("article", name="Respuesta").last

    def ask(self, text: str) -> Locator:
        """Type a question, send it with Enter, and return its answer."""
        before = self.page.get_by_role("article", name="Respuesta").count()
        self.box.fill(text)
        self.page.keyboard.press("Enter")
        return self.page.get_by_role("article", name="Respuesta").nth(before)

    def ask_and_wait(self, text: str) -> Locator:
        """Ask, and wait for the whole answer."""
        answer = self.ask(text)
        answer.locator(".facts").wait_for(timeout=60_000)
        return answer

    def facts(self, answer: Locator) -> str:
        """Open an answer's details and return them."""
        answer.locator(".facts summary").click()
        return answer.locator(".facts dl").inner_text()


OpenTab = Callable[..., Tab]
"""Opens the page at a URL; further arguments are those of a browser's context."""
