"""The dictionary from A to Z: the order of both languages, pages, filters, single entries, and what is refused."""

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import httpx
import psycopg
import pytest

from adapters.ports.documents import Direction, Document, Language
from adapters.supabase_adapter import SupabaseAdapter
from services.entries import entry as one_entry
from services.entries import word_list
from services.library.index import LibraryIndex
from services.mentor.lexicon.ordering import OTHER, letter_of, place
from tests.backend_server import running_backend

pytestmark = pytest.mark.anyio


def document(lemma: str, gloss: str, direction: Direction = "es_bora", part: str = "entry", **more: Any) -> Document:
    metadata = {"lemma": lemma, "gloss": gloss, "direction": direction, "part": part, "pos": "m.", **more}
    return Document(f"{direction}/{lemma}", "dictionary", f"{lemma}: {gloss}", metadata)


DOCUMENTS = [
    document("niño", "tsɨ́ɨ́mene"),
    document("Ñandú", "cúdsi"),
    document("nube", "ojts’o (del cielo)"),
    document("árbol", "úmehe", pos_full="masculino"),
    document("chacra", "úmɨhe"),
    document("acompañar", "pivájtso; nahbénu"),
    document("papá", "llihíyo"),
    document("lodo", "lóco"),
    document("6wau", "tyájo"),
    document("árbol grande", "kaá úmehe", part="subentry", parent_lemma="árbol"),
    document("El árbol cae.", "Úmehe aaméi.", part="example", parent_lemma="árbol"),
    document("úmehe", "árbol, palo", "bora_es"),
    Document("text", "text", "Abeja"),
    Document("odd", "dictionary", "abismo", {"lemma": "abismo", "gloss": ["a"], "direction": ["es_bora"]}),
]


@pytest.fixture
async def filled(store: SupabaseAdapter) -> SupabaseAdapter:
    await store.upsert(DOCUMENTS)
    return store


async def words(store: SupabaseAdapter, direction: Direction, **options: Any) -> list[str]:
    return [each.word for each in (await word_list(store, direction, **options)).words]


@pytest.mark.parametrize(
    ("language", "ordered"),
    [
        ("es", ["árbol", "Chacra", "cielo", "cz", "de la", "dela", "d’oro", "nz", "ñ", "o", "6wau", "«¿9?»"]),
        ("boa", ["Cúújuwa", "cyoo", "chocho", "dyaa", "dsɨɨ", "ihba", "ijchi", "ɨ́ɨ́buu", "jaá", "lo", "llihíyo"]),
        ("boa", ["nz", "ñuhba", "tújpacyo", "tyee", "tsaá", "uú", "ʉʉ", "vaa"]),
    ],
)
def test_words_stand_in_the_order_of_their_language(language: Language, ordered: list[str]) -> None:
    places = [place(word, language) for word in ordered]
    assert places == sorted(set(places))


def test_accents_case_apostrophes_and_scanned_letters_do_not_count_and_digraphs_do() -> None:
    assert place("Ímityúne", "boa") == place("imi’tyune", "boa")
    assert [letter_of(place(word, "boa"), "boa") for word in ("CHocho", "dsɨ", "llo", "tsaá", "tyee", "Ɨ́", "ʉ")] == [
        "ch", "ds", "ll", "ts", "t", "ɨ", "ʉ",
    ]  # fmt: skip
    assert letter_of(place("ñandú", "es"), "es") == "ñ"
    assert letter_of(place("αβγ", "boa"), "boa") == OTHER
    assert place("¿…?", "es") == ""


async def test_both_directions_are_listed_each_meaning_where_no_entry_of_its_own_says_more(
    filled: SupabaseAdapter,
) -> None:
    spanish = await word_list(filled, "es_bora")
    expected = ["acompañar", "árbol", "árbol grande", "chacra", "lodo", "niño", "nube", "Ñandú", "palo", "papá", "6wau"]
    assert [each.word for each in spanish.words] == expected
    assert [(each.meaning, each.pos) for each in spanish.words[:2]] == [
        ("pivájtso; nahbénu", "m."),
        ("úmehe", "masculino"),
    ]
    assert {each.letter: each.words for each in spanish.letters} == {
        "a": 3,
        "c": 1,
        "l": 1,
        "n": 2,
        "ñ": 1,
        "p": 2,
        OTHER: 1,
    }
    assert spanish.next is None
    # Entries read the other way round, by each of their meanings; "úmehe" has an entry of its own.
    bora = await word_list(filled, "bora_es")
    in_order = "cúdsi, kaá úmehe, lóco, llihíyo, nahbénu, ojts’o, pivájtso, tyájo, tsɨ́ɨ́mene, úmehe, úmɨhe"
    assert ", ".join(each.word for each in bora.words) == in_order
    meanings = {each.word: each.meaning for each in bora.words}
    assert (meanings["nahbénu"], meanings["úmehe"]) == ("acompañar", "árbol, palo")
    assert [each.letter for each in bora.letters] == ["c", "k", "l", "ll", "n", "o", "p", "t", "ts", "u"]


async def test_a_letter_and_what_a_word_holds_narrow_the_list(filled: SupabaseAdapter) -> None:
    assert await words(filled, "es_bora", letter="Ñ") == ["Ñandú"]
    assert await words(filled, "es_bora", letter="#") == ["6wau"]
    assert await words(filled, "bora_es", letter="LL") == ["llihíyo"]
    assert await words(filled, "bora_es", letter="t") == ["tyájo"]
    found = await word_list(filled, "es_bora", letter="n", contains=" ÑO")
    assert [each.word for each in found.words] == ["niño"]
    assert [(each.letter, each.words) for each in found.letters] == [("n", 1)]
    for nothing in ("%", "_", "\\", "zz"):
        assert await words(filled, "es_bora", contains=nothing) == []
    assert len(await words(filled, "es_bora", contains=" ")) == 11


async def test_pages_have_every_word_once_also_while_entries_come_and_go(filled: SupabaseAdapter) -> None:
    whole = await words(filled, "bora_es")
    read: list[str] = []
    page = await word_list(filled, "bora_es", limit=2)
    while page.next:
        read += [each.word for each in page.words]
        await filled.upsert([document(f"nuevo {len(read)}", "aáme")])
        await filled.delete(page.words[0].id)
        page = await word_list(filled, "bora_es", after=page.next, limit=2)
    # "nahbénu" and "pivájtso" are of one entry; it goes with the first.
    assert [*read, *(each.word for each in page.words)] == [word for word in whole if word != "pivájtso"]


async def test_homographs_and_equal_words_follow_each_other(store: SupabaseAdapter) -> None:
    twins = [
        Document(f"n{at}", "dictionary", "x", document("luna" if at else "sol", "nuhba").metadata) for at in (0, 1)
    ]
    await store.upsert([*twins, document("día", "núhba")])
    page = await word_list(store, "bora_es", limit=1)
    found = [page.words[0]]
    while page.next:
        page = await word_list(store, "bora_es", after=page.next, limit=1)
        found += page.words
    assert [(each.word, each.meaning) for each in found] == [("nuhba", "sol"), ("nuhba", "luna"), ("núhba", "día")]


async def test_words_follow_their_documents(filled: SupabaseAdapter) -> None:
    await filled.upsert([Document("es_bora/lodo", "dictionary", "barro", document("barro", "lóco").metadata)])
    assert await words(filled, "es_bora", letter="l") == []
    assert await words(filled, "es_bora", letter="b") == ["barro"]
    await filled.upsert([Document("es_bora/lodo", "text", "barro")])
    assert await words(filled, "es_bora", letter="b") == await words(filled, "bora_es", letter="l") == []
    await filled.delete("bora_es/úmehe")
    assert await words(filled, "bora_es", contains="umehe") == ["kaá úmehe", "úmehe"]


async def test_entries_from_before_the_list_are_added_at_the_next_start(
    filled: SupabaseAdapter, database_url: str
) -> None:
    expected = await words(filled, "es_bora")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM rag_words WHERE word <> 'lodo'")
    assert await words(filled, "es_bora") == ["lodo"]
    later = SupabaseAdapter(database_url, LibraryIndex())
    await later.start()
    await later.close()
    assert await words(filled, "es_bora") == expected


async def test_an_entry_comes_with_its_examples_and_sub_entries(filled: SupabaseAdapter) -> None:
    found = await one_entry(filled, "es_bora/árbol")
    assert found is not None
    assert (found.letter, found.entry.metadata["gloss"]) == ("a", "úmehe")
    assert [each.metadata["lemma"] for each in found.examples] == ["El árbol cae."]
    assert [each.metadata["lemma"] for each in found.subentries] == ["árbol grande"]
    for absent in ("nobody", "text", "es_bora/El árbol cae."):
        assert await one_entry(filled, absent) is None
    odd = await one_entry(filled, "odd")
    assert odd is not None
    assert odd.letter is None


@pytest.fixture(scope="module")
def client(shared_database: str) -> Iterator[httpx.Client]:
    with running_backend(database_url=shared_database, llm_service_enabled=False, sample_lexicon="") as started:
        stored = started.post("/api/rag/documents", json={"documents": [asdict(each) for each in DOCUMENTS]})
        assert stored.status_code == 200, stored.text
        yield started


def test_the_list_over_http(client: httpx.Client) -> None:
    options = {"direction": "bora_es", "limit": "10"}
    page = client.get("/api/rag/entries", params=options).json()
    following = client.get("/api/rag/entries", params={**options, "after": page["next"]}).json()
    assert (len(page["words"]), len(following["words"]), following["next"]) == (10, 1, None)
    assert {"letter": "ts", "words": 1} in page["letters"] == following["letters"]
    first = page["words"][0]
    assert first == {"id": "es_bora/Ñandú", "word": "cúdsi", "meaning": "Ñandú", "pos": "m."}
    one = client.get("/api/rag/entries/" + first["id"]).json()
    assert (one["entry"]["metadata"]["gloss"], one["letter"], one["examples"]) == ("cúdsi", "ñ", [])
    assert client.get("/api/rag/entries/nobody").status_code == 404


def cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("direction", {}),
        ("letter", {"direction": "es_bora", "letter": "ch"}),
        ("q", {"direction": "es_bora", "q": "a\0"}),
        ("limit", {"direction": "es_bora", "limit": "201"}),
        ("after", {"direction": "es_bora", "after": "árbol"}),
        ("after", {"direction": "es_bora", "after": base64.urlsafe_b64encode(b"[" * 2000).decode()}),
        ("after", {"direction": "es_bora", "after": cursor("bora_es", "A", "a", "x")}),
        ("after", {"direction": "es_bora", "after": cursor("es_bora", "A", "a\0", "x")}),
        ("after", {"direction": "es_bora", "after": cursor("es_bora", "A", "\ud800", "x")}),
        ("after", {"direction": "es_bora", "after": cursor("es_bora", "A", 1, "x")}),
    ],
)
def test_what_cannot_be_is_refused_by_name(client: httpx.Client, field: str, options: dict[str, str]) -> None:
    reply = client.get("/api/rag/entries", params=options)
    assert reply.status_code == 422, reply.text
    assert reply.json()["error"]["message"].startswith(f"{field}: ")
