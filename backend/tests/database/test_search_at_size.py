"""Searches among many documents: what common words, near vectors and odd questions must not hide."""

from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from adapters.ports.documents import Document, SearchHit
from adapters.postgres.names import Names
from adapters.postgres.searches import BY_VECTOR, BY_WORDS, search_message
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex
from services.mentor.questions.parser import parse_query
from tests import searches
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio
CROWD = 1_200
"""Three times what a search ranks."""
TOWARDS, AWAY = [1.0] + [0.0] * 383, [-1.0] + [0.0] * 383


def entry(lemma: str, gloss: str, **more: object) -> Document:
    metadata = {"lemma": lemma, "gloss": gloss, "direction": "es_bora", "part": "entry", **more}
    return Document(f"entry-{lemma}-{gloss}", "dictionary", f"{lemma}: {gloss}", metadata)


def example(number: int, sentence: str) -> Document:
    metadata = {"lemma": sentence, "gloss": f"bora {number}", "direction": "es_bora", "part": "example"}
    return Document(f"a-example-{number}", "dictionary", sentence, metadata)


async def search(store: SupabaseAdapter, question: str, vector: Sequence[float] | None = None) -> list[SearchHit]:
    return await searches.search(store, question, vector, "made")


async def crowd(store: SupabaseAdapter) -> None:
    """Two words that more documents hold than a search reads, and what is asked for among the last."""
    await store.upsert([example(number, f"El perro come en la casa {number}.") for number in range(CROWD)])
    await store.upsert(
        [
            entry("perro", "oohííbye"),
            entry("perro de casa", "oohííbye jaátu"),
            entry("casa", "jaá"),
            entry("comida del perro", "majcho"),
            example(CROWD, "El perro rojo ladra en la casa."),
        ]
    )


@pytest.fixture(scope="module")
async def crowded(shared_database: str) -> AsyncIterator[SupabaseAdapter]:
    store = SupabaseAdapter(shared_database, LibraryIndex(), pool_size=4)
    await crowd(store)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("question", "lemma"),
    [
        ("¿Cómo se dice perro en bora?", "perro"),
        ("¿Cómo se dice perros en bora?", "perro"),
        ("perro de casa", "perro de casa"),
        ("perros de casas", "perro de casa"),
        ("comidas del perro", "comida del perro"),
    ],
)
async def test_common_words_hide_nothing(crowded: SupabaseAdapter, question: str, lemma: str) -> None:
    assert (await search(crowded, question))[0].metadata["lemma"] == lemma


async def test_a_rare_word_finds_its_sentence_among_common_ones(crowded: SupabaseAdapter) -> None:
    found = [hit.metadata["lemma"] for hit in await search(crowded, "perro que ladra en casa")]
    assert "El perro rojo ladra en la casa." in found


async def test_without_statistics_common_words_hide_nothing_either(database_url: str, store: SupabaseAdapter) -> None:
    await crowd(store)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM pg_statistic WHERE starelid = 'rag_documents'::regclass")
    assert (await search(store, "perros"))[0].metadata["lemma"] == "perro"


async def test_both_kinds_of_index_are_used_however_common_the_words(database_url: str, store: SupabaseAdapter) -> None:
    await crowd(store)
    rows = await store.pending("made", CROWD + 10)
    await store.set_vectors([row[0] for row in rows], [FakeEmbedder().vector(row[1]) for row in rows], "made")
    names = Names("public", (0, 8))
    near = {"found": [], "vector": str(TOWARDS), "fingerprint": "made"}
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)

        def scans() -> dict[str, int]:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            of_table = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = 'rag_documents'"
            return dict(cursor.execute(f"SELECT indexrelname, idx_scan FROM pg_stat_user_indexes UNION {of_table}"))

        for question in ("perro", "¿Cómo se dice perros en bora?", "perro en la casa", "nadaparecido"):
            before = scans()
            parameters = LibraryIndex().lookup(parse_query(question))._asdict() | near
            for query in (BY_WORDS, BY_VECTOR):
                cursor.execute(search_message(names, query, 60_000), parameters)
            after = scans()
            indexes = ("embedding", "words", "lemma_keys", "gloss_keys", "near_keys")
            assert [name for name in indexes if after[f"rag_documents_{name}"] == before[f"rag_documents_{name}"]] == []
            assert after["rag_documents"] == before["rag_documents"], "the whole table was read"
        assert scans()["rag_documents_heads"] > 0


@pytest.mark.parametrize(
    ("question", "lemma"),
    [
        ("¿Cómo se dice perro en bora?", "perro"),
        ("¿Qué significa oohiibye?", "perro"),
        ("canosa", "canoso"),
        ("perros", "perro"),
        ("prero", "perro"),
    ],
)
async def test_the_nearest_vectors_never_push_down_a_word(store: SupabaseAdapter, question: str, lemma: str) -> None:
    asked = [entry("perro", "oohííbye"), entry("canoso", "tsíjtsi", variants=["canosa"])]
    others = [Document(f"a-near-{number}", "dictionary", f"Otra cosa número {number}.", {}) for number in range(60)]
    await store.upsert([*asked, *others])
    await store.set_vectors([document.id for document in asked], [AWAY] * len(asked), "made")
    await store.set_vectors([document.id for document in others], [TOWARDS] * len(others), "made")
    hits = await search(store, question, TOWARDS)
    assert hits[0].metadata["lemma"] == lemma
    assert {hit.matched_on for hit in hits[1:]} == {("vector",)}
    assert all(hit.score < hits[0].score for hit in hits[1:])


async def test_a_weak_vector_never_pushes_down_one_word_of_a_phrase(store: SupabaseAdapter) -> None:
    others = [Document(f"a-near-{number}", "dictionary", f"Otra cosa número {number}.", {}) for number in range(60)]
    await store.upsert([entry("perro", "oohííbye"), *others])
    await store.set_vectors([document.id for document in others], [[0.6, 0.8, *TOWARDS[2:]]] * len(others), "made")
    hits = await search(store, "¿Cómo se dice perro bravo en bora?", TOWARDS)
    assert hits[0].metadata["lemma"] == "perro"
    assert len(hits) == 5


async def test_a_sentence_of_the_dictionary_that_looks_like_a_question_is_found_whole(store: SupabaseAdapter) -> None:
    await store.upsert([entry("papá", "caáni"), example(1, "¿Qué dice tu papá?"), entry("tu", "u")])
    best = (await search(store, "que dice tu papa"))[0]
    assert (best.id, best.matched_on[0]) == ("a-example-1", "example")


async def test_the_parts_of_a_phrase_that_is_nowhere_are_found(store: SupabaseAdapter) -> None:
    await store.upsert([entry("perro", "oohííbye"), entry("agua fría", "nujpacyo"), example(1, "Hay perro y agua.")])
    found = {hit.metadata["lemma"]: hit.matched_on[0] for hit in await search(store, "mi perro quiere agua fría")}
    assert found["perro"] == found["agua fría"] == "lemma"


async def test_a_slip_in_a_long_phrase_is_found_by_its_other_words(store: SupabaseAdapter) -> None:
    gloss = "tsane llíyájtsámeíñetu tene íjcyane múnáájpikye"
    await store.upsert([entry("ampliado", gloss), *(entry(f"lemma{n}", f"tsane {n}") for n in range(20))])
    slipped = gloss.replace("tene", "tnee")
    best = (await search(store, f"¿Qué significa {slipped}?"))[0]
    assert (best.metadata["lemma"], best.matched_on[0]) == ("ampliado", "typo")
