"""The page and the backend compare words in the same form."""

from __future__ import annotations

import json
import subprocess

import pytest

from conftest import ROOT
from page_apps import WORKSPACE
from page_tab import Tab

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest_plugins = ["page_browser"]
pytestmark = pytest.mark.browser

HARD = [
    "ñuhbaúú",
    "Tsɨ́ɨ́ju",
    "ʉ́ ¿Qué?",
    "i'jyuu iʔjyuu i’jyuu",
    "mɨ\u0301amu\u0301naa",
    "«Día»—noche",
    "2.º año",
    "´x´",
    "soft\u00adhyphen",
    "m+\u0301amunaa ts++ju",
    "+jcu 2+2 C++ a\\b",
    "ʻaʻ ɂ Ɂa ꞌ",
]
FOLD = "import json, sys; from lexical.folding import fold; print(json.dumps([fold(t) for t in json.load(sys.stdin)]))"


def test_the_page_folds_words_as_the_backend_does(scripted: Tab) -> None:
    entries = json.loads((ROOT / "backend" / "data" / "sample_lexicon.json").read_text(encoding="utf-8"))
    texts = HARD + [entry[side] for entry in entries for side in ("lemma", "gloss_bora")]
    folded = subprocess.run(
        [str(WORKSPACE.backend.python), "-c", FOLD],
        cwd=WORKSPACE.backend.folder,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    in_page = "async (texts) => { const {fold} = await import('/folding.js'); return texts.map(fold); }"
    assert scripted.page.evaluate(in_page, texts) == json.loads(folded.stdout)


MARKED: list[tuple[str, str, list[str] | None, list[str]]] = [
    ("¿Cómo se dice perros en bora?", "perro", ["lemma"], ["perro"]),
    ("¿Cómo se dice decir en bora?", "decir", None, ["decir"]),
    ("¿Cómo se dice cómo en bora?", "cómo", ["lemma"], ["cómo"]),
    ("perro", "cómo", None, []),
    ("oohiibey", "oohííbye", ["typo"], ["oohííbye"]),
    ("pero", "perro", ["typo"], ["perro"]),
    ("pero", "perro", ["words"], []),
    ("hermana mayor", "hermana; hermana mayor, tía", ["gloss"], ["hermana", "hermana", "mayor"]),
    ("¿Qué significa la casa grande?", "La maloca es la casa grande.", ["words"], ["casa", "grande"]),
    ("animal que ladra", "perro que ladra", ["vector"], []),
    ("tsiiju", "«tsɨ́ɨ́ju»", ["gloss"], ["tsɨ́ɨ́ju"]),
]


def test_what_was_asked_for_is_marked_and_no_letter_is_lost(scripted: Tab) -> None:
    in_page = """async (cases) => {
        const {Highlighter} = await import('/highlight.js');
        return cases.map(([question, text, reasons]) => {
            const pieces = new Highlighter(question).pieces(text, reasons ?? undefined);
            const marks = pieces.filter((piece) => piece.tagName === 'MARK');
            return [pieces.map((piece) => piece.textContent ?? piece).join(''), marks.map((mark) => mark.textContent)];
        });
    }"""
    shown = scripted.page.evaluate(in_page, [list(case[:3]) for case in MARKED])
    assert shown == [[text, marks] for _, text, _, marks in MARKED]
