"""Words suggested while one is typed."""

from collections.abc import AsyncIterator

import pytest

from adapters.ports.documents import Document
from adapters.supabase_adapter import SupabaseAdapter
from services.entries import suggestions
from services.library.index import LibraryIndex

pytestmark = pytest.mark.anyio


def entry(lemma: str, gloss: str, direction: str = "es_bora", part: str = "entry") -> Document:
    metadata = {"lemma": lemma, "gloss": gloss, "direction": direction, "part": part}
    return Document(f"{lemma}-{direction}", "dictionary", f"{lemma}: {gloss}", metadata)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SupabaseAdapter]:
    adapter = SupabaseAdapter(database_url, LibraryIndex())
    await adapter.start()
    await adapter.upsert(
        [
            entry("árbol", "ñuhba"),
            entry("arco", "tsɨ́ɨ́ju"),
            entry("ñuhba", "árbol", "bora_es"),
            entry("Ardilla", "nihba"),
            entry("Arde la casa.", "Nihba jaá.", part="example"),
            # A word of the other language, the last by the alphabet.
            entry("ardúhñe", "rojo", "bora_es"),
            Document("text", "text", "Aro de metal"),
        ]
    )
    yield adapter
    await adapter.close()


async def words(store: SupabaseAdapter, typed: str, limit: int = 8) -> list[tuple[str, str, str]]:
    return [(each.word, each.language, each.meaning) for each in await suggestions(store, typed, limit)]


async def test_words_of_both_languages_are_found_whatever_their_accents_and_case(store: SupabaseAdapter) -> None:
    expected = [("árbol", "es", "ñuhba"), ("arco", "es", "tsɨ́ɨ́ju"), ("Ardilla", "es", "nihba")]
    assert await words(store, "AR") == [*expected, ("ardúhñe", "boa", "rojo")]
    assert await words(store, "arb") == await words(store, "Árb") == expected[:1]
    # Each word once, although both directions have it.
    assert await words(store, "nuh") == [("ñuhba", "boa", "árbol")]
    assert await words(store, "tsii") == [("tsɨ́ɨ́ju", "boa", "arco")]


async def test_suggestions_are_bounded_and_nothing_begins_with_nothing(store: SupabaseAdapter) -> None:
    assert len(await words(store, "ar", limit=2)) == 2
    assert await words(store, "%") == await words(store, " ") == await words(store, "arz") == []
