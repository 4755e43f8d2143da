"""The page in a browser, in front of the real backend: asking, reading, omitting, following up."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Request, expect

from page.apps import Apps
from page.standin import FINAL
from page.tab import OpenTab, Tab

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

DRUM = {
    "lemma": "manguaré",
    "gloss": "ñuhbaúú",
    "pos_full": "masculino",
    "direction": "es_bora",
    "part": "entry",
    "variants": ["manguareses"],
    "notes": ["Se toca de noche."],
}
DRUM_SENTENCE = {
    "lemma": "El manguaré suena.",
    "gloss": "Ñuhbaúú iñe.",
    "direction": "es_bora",
    "part": "example",
    "parent_lemma": "manguaré",
}


@pytest.fixture(scope="module")
def apps_with_drum(apps: Apps) -> Apps:
    entry = {"id": "drum", "kind": "dictionary", "content": "manguaré: ñuhbaúú", "metadata": DRUM}
    example = {"id": "drum-1", "kind": "dictionary", "content": "El manguaré suena.", "metadata": DRUM_SENTENCE}
    apps.add_documents(entry, example)
    return apps


def test_a_word_is_answered_by_its_entry_without_a_model(tab: Tab) -> None:
    answer = tab.ask_and_wait("¿Cómo se dice perro en bora?")
    expect(answer.locator(".head b")).to_have_text("perro")
    expect(answer.locator(".head i")).to_have_text("masculino")
    expect(answer.locator(".gloss")).to_have_text("oohííbye")
    expect(answer.locator(".gloss")).to_have_attribute("lang", "boa")
    # A sentence that says the same as the card is not shown.
    expect(answer.locator(".answer")).to_have_count(0)
    expect(answer.locator(".facts summary")).to_have_text("Texto del diccionario")
    facts = tab.facts(answer)
    assert all(text in facts for text in ("diccionario", "tomada de las fuentes", "Búsqueda"))
    expect(tab.banner).to_be_hidden()
    expect(tab.page.get_by_role("button", name="Preguntar")).to_be_visible()


def test_an_entry_shows_all_it_says_and_senses_are_numbered(tab: Tab, apps_with_drum: Apps) -> None:
    entry = tab.ask_and_wait("manguare")
    for text in ("manguareses", "Se toca de noche.", "El manguaré suena. Ñuhbaúú iñe."):
        expect(entry.locator(".entry dl")).to_contain_text(text)
    senses = tab.ask_and_wait("¿Qué significa nuhba en español?").get_by_role("list", name="Entradas")
    expect(senses).to_have_class(re.compile("numbered"))
    expect(senses.locator(".head b")).to_have_text(["sol", "luna"])


def test_what_is_missing_is_named_and_the_nearest_entry_is_a_click_away(tab: Tab) -> None:
    answer = tab.ask_and_wait("peroo")
    expect(answer.locator(".not-found")).to_have_text("No encontré «peroo» en el diccionario.")
    answer.get_by_role("button", name="perro oohííbye").click()
    expect(tab.last.locator(".gloss")).to_have_text("oohííbye")
    nothing = tab.ask_and_wait("xyzzyqwop")
    expect(nothing.locator(".not-found")).to_contain_text("xyzzyqwop")
    expect(nothing.get_by_role("listitem")).to_have_count(0)


def test_the_first_visit_offers_questions_that_are_answered_and_a_real_entry(tab: Tab) -> None:
    expect(tab.page.get_by_role("heading", name="Busca una palabra en bora")).to_be_visible()
    expect(tab.page.locator("#sample .gloss")).to_have_text("oohííbye")
    expect(tab.page.locator("#size")).to_contain_text(re.compile(r"Hay \d+ entradas"))
    expect(tab.chip).to_contain_text(re.compile(r"\d+ entradas · modelo listo"))
    examples = tab.page.locator("#examples").get_by_role("button")
    expect(examples).to_have_count(4)
    for text in examples.all_inner_texts():
        tab.page.get_by_role("button", name=text, exact=True).press("Enter")
        expect(tab.last.locator(".facts")).to_be_visible()
        expect(tab.last.locator("[lang=boa]").first).to_be_visible()
        tab.page.get_by_role("button", name="Nueva conversación").click()
        expect(tab.page.get_by_role("article")).to_have_count(0)
        expect(tab.box).to_be_focused()


def test_the_status_panel_says_what_works_in_plain_words(tab: Tab) -> None:
    panel = tab.page.get_by_role("complementary", name="Estado")
    expect(tab.chip).to_contain_text("modelo listo")
    expect(panel).to_be_hidden()
    tab.chip.click()
    expect(tab.chip).to_have_attribute("aria-expanded", "true")
    for text in ("En el diccionario", "está listo", "Base de datos"):
        expect(panel).to_contain_text(text)
    tab.chip.press("Enter")
    expect(panel).to_be_hidden()


def test_a_passage_stands_while_its_answer_is_written_and_stays_when_that_is_omitted(scripted: Tab) -> None:
    answer = scripted.ask("lento texto")
    passage = answer.get_by_role("list", name="Fragmentos").get_by_role("listitem")
    expect(passage).to_contain_text("[1]")
    expect(answer.locator(".state")).to_contain_text("Redactando una respuesta…")
    expect(answer.locator(".answer")).to_have_count(0)
    place = passage.bounding_box()
    answer.get_by_role("button", name="Omitir").click()
    expect(answer.locator(".state")).to_contain_text("Detenida. Queda lo que se encontró.")
    expect(answer).to_have_attribute("aria-busy", "false")
    assert passage.bounding_box() == place
    expect(scripted.box).to_be_focused()


def test_the_conversation_is_sent_along_but_not_what_was_stopped(scripted: Tab) -> None:
    sent: list[dict[str, object]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/rag/query"):
            sent.append(json.loads(request.post_data or "{}"))

    scripted.page.on("request", note)
    scripted.ask_and_wait("perro")
    answer = scripted.ask("lento texto")
    expect(answer.locator(".state")).to_contain_text("Redactando")
    scripted.page.keyboard.press("Escape")
    expect(answer.locator(".state")).to_contain_text("Detenida")
    scripted.ask_and_wait("gato")
    turns = [{"role": "user", "content": "perro"}, {"role": "assistant", "content": FINAL["answer"]}]
    assert [request["history"] for request in sent] == [[], turns, turns]
    assert not any("draft" in request for request in sent)


def test_a_follow_up_is_understood_from_what_was_said_before_also_after_a_reload(tab: Tab) -> None:
    tab.ask_and_wait("¿Cómo se dice perro en bora?")
    expect(tab.ask_and_wait("¿Y gato?").locator(".gloss")).to_have_text("mííchií")
    tab.page.reload()
    expect(tab.ask_and_wait("¿y casa?").locator(".gloss")).to_have_text("jaá")


def test_the_conversation_outlives_a_reload_and_ends_with_a_new_one(scripted: Tab) -> None:
    tab = scripted
    tab.ask_and_wait("perro")
    expect(tab.ask("lento texto").locator(".state")).to_contain_text("Redactando")
    tab.page.reload()
    expect(tab.page.get_by_role("article", name="Respuesta")).to_have_count(2)
    expect(tab.page.locator("#log .gloss")).to_have_text("oohííbye")
    expect(tab.last.locator(".state")).to_contain_text("Detenida. Queda lo que se encontró.")
    tab.page.get_by_role("button", name="Nueva conversación").click()
    expect(tab.page.get_by_role("heading", name="Busca una palabra en bora")).to_be_visible()
    tab.page.reload()
    expect(tab.page.get_by_role("article")).to_have_count(0)
    assert tab.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_a_question_is_a_link_that_survives_a_reload(tab: Tab, open_tab: OpenTab, apps: Apps) -> None:
    tab.ask_and_wait("perro")
    assert tab.page.url == f"{apps.backend.url}/?q=perro"
    tab.page.reload()
    expect(tab.page.get_by_role("article", name="Respuesta")).to_have_count(1)
    other = open_tab(f"{apps.backend.url}/?q={quote('¿Cómo se dice gato en bora?')}")
    expect(other.last.locator(".gloss")).to_have_text("mííchií")


def test_the_last_question_comes_back_with_arrow_up_and_any_can_be_edited(tab: Tab) -> None:
    tab.ask_and_wait("perro")
    tab.ask_and_wait("gato")
    tab.page.keyboard.press("ArrowUp")
    expect(tab.box).to_have_value("gato")
    tab.page.get_by_role("button", name="Editar la pregunta").first.click()
    expect(tab.box).to_have_value("perro")
    expect(tab.box).to_be_focused()


def test_an_answer_and_its_link_can_be_copied_also_where_there_is_no_clipboard(tab: Tab) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = tab.ask_and_wait("perro")
    answer.get_by_role("button", name="Copiar", exact=True).click()
    expect(answer.get_by_role("button", name="Copiado")).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == 'En bora, "perro" se dice "oohííbye".'
    # As on a page served over plain HTTP from another machine.
    tab.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new DOMException('no')); }")
    answer.get_by_role("button", name="Copiar enlace").click()
    expect(answer.get_by_role("button", name="Copiado").last).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == tab.page.url


def test_a_question_beyond_the_limit_is_counted_and_refused_not_cut(tab: Tab) -> None:
    tab.box.fill("a" * 800)
    expect(tab.page.locator("#counter")).to_have_text("800 de 2000 caracteres")
    tab.box.fill("a" * 2001)
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#counter")).to_contain_text("acórtala")
    expect(tab.box).to_have_value("a" * 2001)
    expect(tab.page.get_by_role("article")).to_have_count(0)


def test_english_is_spoken_where_it_is_wished(open_tab: OpenTab, apps: Apps) -> None:
    for tab in (open_tab(apps.backend.url, locale="en-GB"), open_tab(f"{apps.backend.url}/?lang=en")):
        expect(tab.page.get_by_role("heading", name="Look up a word in Bora or Spanish")).to_be_visible()
        assert tab.page.evaluate("document.documentElement.lang") == "en"
    expect(open_tab(f"{apps.backend.url}/?lang=es", locale="en-GB").chip).to_contain_text("entradas")


def test_both_languages_have_every_sentence(scripted: Tab) -> None:
    names = """async () => Promise.all(['es', 'en'].map(async (name) => {
        const { default: texts } = await import(`/texts/${name}.js`);
        const names = (value, path) => value && value.constructor === Object
            ? Object.entries(value).flatMap(([key, each]) => names(each, `${path}.${key}`))
            : [`${path} ${typeof value}`];
        return names(texts, '');
    }))"""
    spanish, english = scripted.page.evaluate(names)
    assert spanish == english
    assert len(spanish) > 50


def test_words_are_suggested_while_one_is_typed_and_the_keyboard_chooses(tab: Tab) -> None:
    options = tab.page.get_by_role("listbox", name="Sugerencias").get_by_role("option")
    tab.page.keyboard.type("PERR")
    expect(options).to_have_text(["perrooohííbye"])
    tab.page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    tab.box.fill("")
    tab.page.keyboard.type("oohi")
    expect(options).to_have_text(["oohííbyeperro"])
    tab.page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(tab.box).to_have_attribute("aria-activedescendant", "suggestion-0")
    tab.page.keyboard.press("Enter")
    expect(tab.last.locator(".head b")).to_have_text("perro")
    expect(tab.box).to_have_value("")
    # Without a choice Enter asks what is written.
    tab.page.keyboard.type("gat")
    expect(options.first).to_be_visible()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("article", name="Tu pregunta").last).to_contain_text("gat")
    expect(options).to_have_count(0)
