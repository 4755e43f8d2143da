"""Milliseconds from Enter to the final card in the page, in headless Chromium with the real backend.

    python dev.py bench page [-- --quick | --rounds N]

Words of the sample lexicon are typed into the page and sent with Enter, as new conversations and as turns of one. The
clock is the browser's: from the key to the first frame after the answer's last part stands in the document. The
backend runs as a process with its embedded database; nothing else answers, so that no model takes part. Needs
Playwright (tests/requirements.txt) and a Chromium on the machine.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.backend.parts import LEXICON, backend_process
from bench.harness import study
from bench.harness.http import MeasuringFailed
from bench.harness.services import free_port
from bench.harness.study import Figure, Report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROUNDS, WORDS, WORDS_QUICK = 3, 20, 5
TARGET_MS = 300.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# The last thing of an answer is its line with the provenance; two frames later it is on the screen.
CLOCK = """() => {
    window.times = [];
    let pressed, waiting = false;
    document.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        [pressed, waiting] = [performance.now(), true];
    }, true);
    const answers = () => document.querySelectorAll("#log .facts").length;
    let before = answers();
    new MutationObserver(() => {
        if (!waiting || answers() <= before) return;
        [before, waiting] = [answers(), false];
        requestAnimationFrame(() => requestAnimationFrame(() => window.times.push(performance.now() - pressed)));
    }).observe(document.getElementById("log"), { childList: true, subtree: true });
}"""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """The machine's own Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MeasuringFailed("Playwright is not installed: pip install -r tests/requirements.txt") from error
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise MeasuringFailed("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def ask(page: "Page", word: str, answered: int) -> float:
    """Type a word, press Enter, and return the milliseconds that the browser's clock measured."""
    box = page.locator("#question")
    box.fill(word)
    box.press("Enter")
    page.wait_for_function("count => window.times.length > count", arg=answered, timeout=60_000)
    return float(page.evaluate("window.times.at(-1)"))


def one_round(browser: "Browser", url: str, words: list[str]) -> dict[str, list[float]]:
    """Ask each word in a page of its own, then all of them in one."""
    first, later = [], []
    for at, word in enumerate((*words, "")):
        context = browser.new_context(locale="es-PE")
        page = context.new_page()
        page.goto(url)
        page.locator("#sample .entry").wait_for()
        page.evaluate(CLOCK)
        if at < len(words):
            first.append(ask(page, word, 0))
        else:
            later = [ask(page, each, answered) for answered, each in enumerate(words)]
        context.close()
    return {"first question of a visit": first, "later questions": later}


def measure(options: argparse.Namespace) -> Report:
    """Measure and compare with the target."""
    words = [entry["lemma"] for entry in json.loads(LEXICON.read_text(encoding="utf-8"))]
    words = words[: WORDS_QUICK if options.quick else WORDS]
    found: dict[str, list[float]] = {}
    nobody = {
        "LLM_MODEL": "nobody/has-this",
        "LLM_OFFLINE_MODEL": "none",
        "LLM_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
    }
    with backend_process(**nobody) as server, chromium() as browser:
        url = f"http://127.0.0.1:{server.port}/"
        one_round(browser, url, words[:1])  # what is read for the first time comes from the disk
        for _ in range(options.rounds):
            for kind, times in one_round(browser, url, words).items():
                found.setdefault(kind, []).extend(times)
    spreads = {kind: study.spread_ms([time / 1000 for time in times]) for kind, times in found.items()}
    study.print_table("from Enter to the final card", spreads)
    figures = [Figure(f"{kind}, p95", spread["p95_ms"], "ms", "<=", TARGET_MS) for kind, spread in spreads.items()]
    return Report(figures, {"kinds": spreads})
