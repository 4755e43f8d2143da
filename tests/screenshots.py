"""Makes the screenshots of the README and docs: `backend/venv/bin/python tests/screenshots.py`.

Both apps run without weights on the sample lexicon: single words, which are answered without a model. The LLM
service's own page is shown with the embedded models.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from app_process import running, start_llm  # noqa: E402
from page.apps import running_apps  # noqa: E402
from page.chromium import CHROMIUM, FLAGS  # noqa: E402
from page.tab import Tab  # noqa: E402

IMAGES = ROOT / "docs" / "images"
QUESTIONS = ("¿Cómo se dice perro en bora?", "¿Qué significa nuhba en español?")


@dataclass(frozen=True)
class Picture:
    """One file: the window's size in CSS pixels, the scheme, how many of the questions are asked, and another view."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    questions: int = 2
    address: str = ""


PICTURES = (
    Picture("page-first", 1000, 720, "light", 0),
    Picture("page", 1000, 840, "light"),
    Picture("page-phone", 360, 740, "light", 1),
    Picture("page-phone-first", 360, 740, "light", 0),
    Picture("dictionary", 1000, 720, "light", 0, "?dictionary=bora"),
    Picture("dictionary-phone", 360, 740, "dark", 0, "?dictionary=bora&letter=ts"),
)


def take(browser: Browser, url: str, picture: Picture) -> None:
    """Open the page, ask, and save what is seen."""
    size = {"width": picture.width, "height": picture.height}
    context = browser.new_context(viewport=size, color_scheme=picture.scheme, locale="es-PE")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(120_000)
    tab = Tab(page, url)
    page.goto(f"{url}/{picture.address}")
    page.locator("#sample .gloss, #log .gloss, #words a, #entry .gloss").first.wait_for(state="attached")
    if picture.address:
        page.locator("#words a:visible, #entry .gloss").first.wait_for()
    page.get_by_text("modelo listo").wait_for(state="attached")
    for question in QUESTIONS[len(QUESTIONS) - picture.questions :]:
        tab.ask_and_wait(question)
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    page.screenshot(path=IMAGES / f"{picture.name}.png")
    context.close()


def take_admin(browser: Browser, url: str) -> None:
    """Save the administration: a file that is looked at, and a word that was asked for and not found."""
    for _ in range(3):
        httpx.post(f"{url}/api/rag/query", json={"query": "¿Cómo se dice linterna en bora?"}, timeout=60)
    context = browser.new_context(viewport={"width": 1000, "height": 840}, locale="es-PE")
    page = context.new_page()
    page.goto(f"{url}/admin")
    page.get_by_role("row", name="linterna").wait_for()
    content = "lema,gloss_bora,pos\nzorfano,tsubune,adj.\n,vacío,\n"
    page.locator("#file").set_input_files({"name": "palabras.csv", "mimeType": "text/csv", "buffer": content.encode()})
    page.get_by_text("rechazados 1").last.wait_for()
    page.screenshot(path=IMAGES / "admin.png", full_page=True)
    context.close()


def take_service(browser: Browser, url: str) -> None:
    """Save the LLM service's page after one question and one comparison."""
    page = browser.new_page(viewport={"width": 1100, "height": 1010}, reduced_motion="reduce")
    page.set_default_timeout(120_000)
    page.goto(url)
    page.locator("#chat-system").fill("You answer in one short sentence.")
    page.locator("#chat-message").fill("What is the capital of Peru?")
    page.locator("#chat-send").click()
    page.locator("#chat-speed").get_by_text("tok/s").wait_for()
    page.get_by_role("button", name="Compare").click()
    page.locator("#embed-result").get_by_text("Similarity").wait_for()
    page.locator("#numbers").get_by_text("tokens/s").wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "service.png")


def main() -> None:
    """Start everything and take all pictures."""
    service = start_llm(LLM_BACKEND="auto", EMBEDDING_BACKEND="auto")
    with running(service), running_apps() as apps, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for picture in PICTURES:
            take(browser, apps.backend.url, picture)
            print(IMAGES / f"{picture.name}.png")
        take_admin(browser, apps.backend.url)
        take_service(browser, service.url)
        browser.close()


if __name__ == "__main__":
    main()
