"""Back-fills that meet other models, wrong lengths and repeated failures."""

from collections.abc import Sequence

import pytest

from adapters.ports.documents import Document
from adapters.supabase_adapter import SupabaseAdapter
from services.library.ingestion import DocumentIngestor, Progress
from services.mentor.questions.parser import parse_query
from services.retrieval import Retriever
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio
DOCUMENTS = [Document(f"{number:02}", "phrase", f"texto número {number}") for number in range(20)]


class Alternating(FakeEmbedder):
    """Two services behind one address, each with another model."""

    async def asked(self, texts: Sequence[str]) -> None:
        self.fingerprint = "b" if self.fingerprint == "a" else "a"


async def fingerprints(store: SupabaseAdapter, *known: str) -> dict[str, int]:
    """Return how many documents have a vector of each."""
    return {name: len(DOCUMENTS) - len(await store.pending(name, 1_000)) for name in known}


async def test_services_with_different_models_end_the_back_fill_instead_of_taking_turns_for_ever(
    store: SupabaseAdapter,
) -> None:
    report = await DocumentIngestor(store, Alternating("b"), embed_batch=2).ingest(DOCUMENTS)
    assert report.vectors.error == "the embedding model changed while vectors were made"
    assert report.vectors.embedded == 0


async def test_vectors_of_another_model_are_replaced_and_the_progress_says_so(store: SupabaseAdapter) -> None:
    await DocumentIngestor(store, FakeEmbedder("old")).ingest(DOCUMENTS)
    steps: list[Progress] = []
    report = await DocumentIngestor(store, FakeEmbedder("new")).embed_pending(steps.append)
    assert (report.replaced, report.embedded, report.pending) == ("old", 20, 0)
    assert [(step.stage, step.done, step.total) for step in steps] == [("rebuild", 20, 20)]


async def test_while_models_change_a_question_meets_only_vectors_of_its_own(store: SupabaseAdapter) -> None:
    await DocumentIngestor(store, FakeEmbedder("old")).ingest(DOCUMENTS)
    changed = FakeEmbedder("new")
    changed.fail_after = 3
    report = await DocumentIngestor(store, changed, embed_batch=5).embed_pending()
    assert (report.embedded, report.pending) == (10, 10)
    assert await fingerprints(store, "old", "new") == {"old": 10, "new": 10}
    asking = FakeEmbedder("new", synonyms={"algo": "texto"})
    hits = (await Retriever(store, asking).retrieve(parse_query("algo"), 20)).hits
    renewed = {document.id for document in DOCUMENTS} - {row[0] for row in await store.pending("new", 100)}
    assert 0 < len(hits) <= 10
    assert {hit.id for hit in hits} <= renewed


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_batches_under_way_together_make_every_vector_once(store: SupabaseAdapter, concurrency: int) -> None:
    embedder = FakeEmbedder()
    ingestor = DocumentIngestor(store, embedder, embed_batch=3, embed_concurrency=concurrency)
    report = await ingestor.ingest(DOCUMENTS)
    assert (report.vectors.embedded, report.vectors.pending) == (20, 0)
    texts = [text for call in embedder.calls[1:] for text in call]
    assert sorted(texts) == sorted(document.content for document in DOCUMENTS)


async def test_more_refused_texts_than_a_page_holds_do_not_hide_the_others(store: SupabaseAdapter) -> None:
    embedder = FakeEmbedder()
    embedder.refused = {document.content for document in DOCUMENTS[:18]}
    report = await DocumentIngestor(store, embedder, embed_batch=1).ingest(DOCUMENTS)
    assert (report.vectors.embedded, report.vectors.pending) == (2, 18)
    assert report.vectors.error is not None
    assert "refused 18" in report.vectors.error
