import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import psycopg
import pytest

from adapters.ports.documents import Document, SearchHit
from adapters.ports.store import StoreUnavailable, UpsertReport, WrongDimension
from adapters.postgres import store as store_module
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex
from services.mentor.questions.parser import parse_query
from tests import searches
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

EMBEDDER = FakeEmbedder()


def entry(lemma: str, gloss: str, direction: str = "es_bora", **metadata: Any) -> Document:
    meta = {"lemma": lemma, "gloss": gloss, "pos": "m.", "direction": direction, "part": "entry", **metadata}
    return Document(f"{lemma}|{gloss}", "dictionary", f"{lemma} (m.): {gloss}", meta)


ENTRIES = [
    entry("perro", "oohííbye"),
    entry("perro de monte", "bájú oohííbye", part="subentry", parent_lemma="perro"),
    entry("casa", "jaá"),
    entry("canoso", "llíjcyá", variants=["canosa"]),
    entry("decir", "nééne, ihjyúva"),
    entry("papá", "cááni"),
    entry("papa", "cúdsi"),
    entry("acompañar", "pivájtso; nahbénu"),
    entry("tsʉʉme", "niño", direction="bora_es"),
    Document(
        "example",
        "dictionary",
        "El perro ladra en la casa. = Oohííbye wáhjya.",
        {"lemma": "El perro ladra en la casa.", "gloss": "Oohííbye wáhjya.", "direction": "es_bora", "part": "example",
         "parent_lemma": "ladrar", "pos": ""},
    ),
    Document("text", "phrase", "La selva amazónica guarda muchos animales.", {}),
]  # fmt: skip


async def search(store: SupabaseAdapter, question: str, *, vector: bool = False) -> list[SearchHit]:
    made = EMBEDDER.vector(parse_query(question).phrase) if vector else None
    return await searches.search(store, question, made, EMBEDDER.fingerprint)


async def embed_all(store: SupabaseAdapter, embedder: FakeEmbedder = EMBEDDER) -> None:
    rows = await store.pending(embedder.fingerprint, 1_000)
    vectors = [embedder.vector(content) for _, content in rows]
    await store.set_vectors([row[0] for row in rows], vectors, embedder.fingerprint)


def lemmas(hits: Iterable[SearchHit]) -> list[Any]:
    return [hit.metadata.get("lemma") for hit in hits]


@pytest.fixture(scope="module")
async def entries(shared_database: str) -> AsyncIterator[SupabaseAdapter]:
    """The entries in a store in which nothing is changed."""
    store = SupabaseAdapter(shared_database, LibraryIndex())
    await store.upsert(ENTRIES)
    yield store
    await store.close()


@pytest.fixture
async def filled(store: SupabaseAdapter) -> SupabaseAdapter:
    await store.upsert(ENTRIES)
    return store


@pytest.mark.parametrize(
    ("question", "lemma", "matched_on"),
    [
        ("¿Cómo se dice perro en bora?", "perro", "lemma"),
        ("el perro", "perro", "lemma"),
        ("perros", "perro", "lemma"),
        ("acompanados", "acompañar", "lemma"),
        ("canosa", "canoso", "variant"),
        ("¿Qué significa oohiibye?", "perro", "gloss"),
        ("nahbenu", "acompañar", "gloss"),
        ("¿Qué significa tsuume en español?", "tsʉʉme", "lemma"),
        ("perro de monte", "perro de monte", "lemma"),
        ("¿Cómo se dice decir en bora?", "decir", "lemma"),
        ("prero", "perro", "typo"),
        ("¿Qué significa nahbenv?", "acompañar", "typo"),
        ("animales de la selva", None, "words"),
        ("El perro ladra en la casa", "El perro ladra en la casa.", "example"),
    ],
)
async def test_the_right_document_comes_first_and_says_why(
    entries: SupabaseAdapter, question: str, lemma: str | None, matched_on: str
) -> None:
    best = (await search(entries, question))[0]
    assert best.metadata.get("lemma") == lemma
    assert best.matched_on[0] == matched_on
    assert 0 < best.score <= 1


async def test_a_sub_entry_says_that_it_is_one(entries: SupabaseAdapter) -> None:
    assert "subentry" in (await search(entries, "perro de monte"))[0].matched_on


async def test_the_entry_comes_before_its_sub_entry_and_its_example(entries: SupabaseAdapter) -> None:
    found = lemmas(await search(entries, "perro"))
    assert found[:3] == ["perro", "perro de monte", "El perro ladra en la casa."]


async def test_of_two_words_that_fold_alike_the_one_spelt_as_asked_comes_first(entries: SupabaseAdapter) -> None:
    assert lemmas(await search(entries, "¿Cómo se dice papá en bora?"))[:2] == ["papá", "papa"]
    assert lemmas(await search(entries, "papa"))[:2] == ["papa", "papá"]


async def test_the_direction_decides_between_equal_words_of_two_languages(store: SupabaseAdapter) -> None:
    await store.upsert([entry("ani", "grande", "bora_es"), entry("ani", "mítyane")])
    assert (await search(store, "¿Qué significa ani en español?"))[0].metadata["direction"] == "bora_es"
    assert (await search(store, "¿Cómo se dice ani en bora?"))[0].metadata["direction"] == "es_bora"


async def test_a_document_without_a_common_word_is_found_by_its_vector(filled: SupabaseAdapter) -> None:
    embedder = FakeEmbedder("meaning", {"bosque": "selva", "bestias": "animales"})
    await embed_all(filled, embedder)
    parsed = parse_query("bosque bestias")
    hits = await searches.search(filled, parsed.original, embedder.vector(parsed.phrase), "meaning")
    assert (hits[0].id, hits[0].matched_on) == ("text", ("vector",))
    assert hits[0].score <= 0.4


async def test_vectors_of_another_fingerprint_are_never_compared(filled: SupabaseAdapter) -> None:
    await embed_all(filled)
    near = EMBEDDER.vector("La selva amazónica guarda muchos animales.")
    hits = await searches.search(filled, "bosque", near, "another model")
    assert hits == []
    assert len(await filled.pending("another model", 100)) == len(ENTRIES)


async def test_a_query_vector_of_another_dimension_is_left_aside(entries: SupabaseAdapter) -> None:
    hits = await searches.search(entries, "perro", [1.0, 0.0], EMBEDDER.fingerprint)
    assert lemmas(hits)[0] == "perro"


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   ",
        "¿?",
        "de la",
        "a & b | !c <-> d:* (e",
        "'; DROP TABLE rag_documents; --",
        "%s %(x)s {schema} \\ \" ''",
        "perro\u0301\u200b",
        "x" * 20_000,
        "palabra " * 5_000,
        "¿Cómo se dice en bora?",
        "🦜",
    ],
)
@pytest.mark.parametrize("vector", [False, True])
async def test_no_question_is_an_error(entries: SupabaseAdapter, question: str, vector: bool) -> None:
    await search(entries, question, vector=vector)
    assert (await entries.stats(None)).documents == len(ENTRIES)


async def test_upsert_counts_new_changed_and_unchanged(store: SupabaseAdapter) -> None:
    assert await store.upsert(ENTRIES) == UpsertReport(len(ENTRIES), 0, 0)
    changed = Document(ENTRIES[0].id, "dictionary", "otro", ENTRIES[0].metadata)
    assert await store.upsert([changed, *ENTRIES[1:]]) == UpsertReport(0, 1, len(ENTRIES) - 1)


async def test_of_two_documents_with_one_id_the_last_counts(store: SupabaseAdapter) -> None:
    report = await store.upsert([Document("1", "phrase", "uno"), Document("1", "phrase", "dos")])
    assert (report.inserted, report.unchanged) == (1, 1)
    assert (await search(store, "dos"))[0].id == "1"
    assert await search(store, "uno") == []


async def test_upsert_is_all_or_nothing(store: SupabaseAdapter) -> None:
    with pytest.raises(psycopg.Error):
        await store.upsert([Document("1", "text", "bueno"), Document("2", "text", "con \0 dentro")])
    assert (await store.stats(None)).documents == 0


async def test_an_unchanged_text_keeps_its_vector_and_a_changed_one_loses_it(filled: SupabaseAdapter) -> None:
    await embed_all(filled)
    first, second = ENTRIES[0], ENTRIES[2]
    await filled.upsert(
        [
            Document(first.id, first.kind, first.content, {**first.metadata, "notes": ["nueva"]}),
            Document(second.id, second.kind, "casa nueva", second.metadata),
        ]
    )
    assert [row[0] for row in await filled.pending(EMBEDDER.fingerprint, 10)] == [second.id]


async def test_a_vector_of_a_text_that_changed_meanwhile_is_not_stored(filled: SupabaseAdapter) -> None:
    rows = await filled.pending("f", 100)
    await filled.upsert([Document("text", "text", "Otra cosa.")])
    vectors = [EMBEDDER.vector(content) for _, content in rows]
    await filled.set_vectors([row[0] for row in rows], vectors, "f", [row[1] for row in rows])
    assert [row[0] for row in await filled.pending("f", 100)] == ["text"]


async def test_vectors_of_the_wrong_dimension_are_refused_before_the_database_sees_them(
    filled: SupabaseAdapter,
) -> None:
    with pytest.raises(WrongDimension, match="EMBEDDING_DIMENSION="):
        await filled.set_vectors(["text"], [[1.0]], "f")


async def test_delete_returns_whether_the_document_was_there(filled: SupabaseAdapter) -> None:
    assert await filled.delete("text") is True
    assert await filled.delete("text") is False


async def test_stats_count_by_kind_direction_and_missing_vectors(filled: SupabaseAdapter) -> None:
    await embed_all(filled)
    await filled.upsert([Document("late", "text", "sin vector")])
    stats = await filled.stats(EMBEDDER.fingerprint)
    assert stats.documents == len(ENTRIES) + 1
    assert stats.by_kind == {"dictionary": len(ENTRIES) - 1, "phrase": 1, "text": 1}
    assert stats.by_direction == {"es_bora": len(ENTRIES) - 2, "bora_es": 1}
    assert (stats.embedding_fingerprint, stats.pending_embeddings) == (EMBEDDER.fingerprint, 1)


async def test_another_dimension_makes_all_vectors_pending_again(database_url: str, filled: SupabaseAdapter) -> None:
    await embed_all(filled)
    wider = SupabaseAdapter(database_url, LibraryIndex(), dimension=512)
    await wider.start()
    assert (await wider.stats(None)).pending_embeddings == len(ENTRIES)
    await wider.set_vectors(["text"], [[0.5] * 512], "wide")
    assert (await wider.stats("wide")).pending_embeddings == len(ENTRIES) - 1
    await wider.close()


async def test_a_database_that_comes_up_later_is_used_without_a_restart(database_url: str) -> None:
    current = ["postgresql://nobody@127.0.0.1:9/none"]

    async def dsn() -> str:
        return current[0]

    store = SupabaseAdapter(dsn, LibraryIndex(), timeout_s=2.0)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    current[0] = database_url
    for _ in range(300):
        try:
            await store.ping()
            break
        except StoreUnavailable:
            await asyncio.sleep(0.1)
    assert (await store.upsert(ENTRIES)).inserted == len(ENTRIES)
    await store.close()


async def test_a_closed_store_is_unavailable(store: SupabaseAdapter) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_an_interrupted_change_of_languages_goes_on_where_it_stopped(
    database_url: str, store: SupabaseAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_START_S", 2.0)
    monkeypatch.setattr("adapters.postgres.searches._BATCH", 2)
    await store.upsert([Document(f"t{number}", "text", "Las casas.") for number in range(5)])
    german = SupabaseAdapter(database_url, LibraryIndex(), text_languages=["german"])
    changed = "SELECT id FROM rag_documents WHERE passage_languages = 'german' ORDER BY id"
    with psycopg.connect(database_url) as blocker:
        blocker.execute("SELECT 1 FROM rag_documents WHERE id = 't4' FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await german.start()
        assert blocker.execute(changed).fetchall() == [("t0",), ("t1",), ("t2",), ("t3",)]
    await german.start()
    assert len(await german.run(changed, [])) == 5
    await german.close()


async def test_works_on_a_loop_of_its_own_as_on_windows(database_url: str) -> None:
    store = SupabaseAdapter(database_url, LibraryIndex(), own_loop=True)
    await store.upsert(ENTRIES)
    found = await asyncio.gather(*(search(store, "perro") for _ in range(10)))
    assert all(lemmas(hits)[0] == "perro" for hits in found)
    await store.close()


async def test_a_connection_that_the_server_ended_is_replaced_before_it_is_used(
    database_url: str, filled: SupabaseAdapter
) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        for _ in range(3):
            ((process,),) = await filled.run("SELECT pg_backend_pid()", [])
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
            assert lemmas(await search(filled, "perro"))[0] == "perro"


async def test_search_takes_one_round_trip_and_leaves_no_setting_behind(database_url: str) -> None:
    store = SupabaseAdapter(database_url, LibraryIndex(), pool_size=1, timeout_s=7.0)
    await store.upsert(ENTRIES)
    await search(store, "perro", vector=True)
    async with store.database.connection() as connection:
        row = await (await connection.execute("SHOW statement_timeout")).fetchone()
        names = await (await connection.execute("SELECT count(*) FROM pg_prepared_statements")).fetchone()
    assert (row, names) == (("0",), (0,))
    await store.close()
