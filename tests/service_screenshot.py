"""Makes docs/images/service.png: `backend/venv/bin/python tests/service_screenshot.py`, with the embedded models."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from app_process import running, start_llm  # noqa: E402
from page_chromium import CHROMIUM, FLAGS  # noqa: E402

IMAGE = ROOT / "docs" / "images" / "service.png"


def main() -> None:
    """Start the service, ask it once, and save what is seen."""
    service = start_llm(LLM_BACKEND="auto", EMBEDDING_BACKEND="auto")
    with running(service), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 1010}, reduced_motion="reduce")
        page.set_default_timeout(120_000)
        page.goto(service.url)
        page.locator("#chat-system").fill("You answer in one short sentence.")
        page.locator("#chat-message").fill("What is the capital of Peru?")
        page.locator("#chat-send").click()
        page.locator("#chat-speed").get_by_text("tok/s").wait_for()
        page.get_by_role("button", name="Compare").click()
        page.locator("#embed-result").get_by_text("Similarity").wait_for()
        page.locator("#numbers").get_by_text("tokens/s").wait_for()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=IMAGE)
        print(IMAGE)
        browser.close()


if __name__ == "__main__":
    main()
