"""Makes the screenshots of the README: `backend/venv/bin/python tests/page_screenshots.py`.

Both apps run with the embedded models and the sample lexicon: single words, no sentence of the dictionary.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from page_apps import running_apps  # noqa: E402
from page_chromium import CHROMIUM, FLAGS  # noqa: E402
from page_tab import Tab  # noqa: E402

IMAGES = ROOT / "docs" / "images"
QUESTIONS = ("¿Cómo se dice perro en bora?", "¿Qué significa nuhba en español?")


@dataclass(frozen=True)
class Picture:
    """One file: the window's size in CSS pixels, the scheme, and how many of the questions are asked."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    questions: int = 2


PICTURES = (
    Picture("page", 1000, 840, "light"),
    Picture("page-dark", 1000, 840, "dark"),
    Picture("page-phone", 360, 740, "light", 1),
)


def take(browser: Browser, url: str, picture: Picture) -> None:
    """Open the page, ask, and save what is seen."""
    size = {"width": picture.width, "height": picture.height}
    context = browser.new_context(viewport=size, color_scheme=picture.scheme, locale="es-PE")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(120_000)
    tab = Tab(page, url)
    page.goto(url)
    for question in QUESTIONS[-picture.questions :]:
        tab.ask_and_wait(question)
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    page.screenshot(path=IMAGES / f"{picture.name}.png")
    context.close()


def main() -> None:
    """Start everything and take all pictures."""
    with running_apps({"LLM_MODEL": "embedded"}) as apps, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        take(browser, apps.backend.url, PICTURES[0])  # once more below: the first answer of a process takes longest
        for picture in PICTURES:
            take(browser, apps.backend.url, picture)
            print(IMAGES / f"{picture.name}.png")
        browser.close()


if __name__ == "__main__":
    main()
