"""What the benchmarks of the backend are made of: a filled store, the service's client, a backend as a process."""

import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.llm_service.config import ServiceConfig
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.ports.documents import Document
from adapters.ports.models import ChatMessage, Completion, Embedder, SamplingOptions, TextDelta
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from bench.harness.services import ROOT, Server, free_port
from devtools.layout import Workspace
from services.answers import RagAnswer
from services.library.index import LibraryIndex
from services.library.ingestion import DocumentIngestor
from services.rag_service import RAGService

LEXICON = ROOT / "backend" / "data" / "sample_lexicon.json"
GREEDY = SamplingOptions(max_new_tokens=96, temperature=0.0)


@asynccontextmanager
async def embedded_postgres() -> AsyncIterator[EmbeddedPostgres]:
    """A database server of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        postgres = EmbeddedPostgres(Path(folder))
        await postgres.start()
        try:
            yield postgres
        finally:
            await postgres.stop()


@asynccontextmanager
async def filled_store(
    documents: Sequence[Document], embedder: Embedder | None = None
) -> AsyncIterator[SupabaseAdapter]:
    """A document store in a database of its own that holds these documents, with vectors if there is an embedder."""
    async with embedded_postgres() as postgres:
        store = SupabaseAdapter(postgres.uri, LibraryIndex(), timeout_s=60.0)
        try:
            await store.start()
            await DocumentIngestor(store, embedder).ingest(documents, embed=embedder is not None)
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def service_client(service: Server) -> AsyncIterator[LLMServiceAdapter]:
    """The backend's own client of an LLM service."""
    adapter = LLMServiceAdapter(ServiceConfig(urls=(f"http://127.0.0.1:{service.port}",), timeout_s=120.0))
    try:
        yield adapter
    finally:
        await adapter.close()


class RecordedModel:
    """The service's model; ``said`` is its own text for the last question, ``None`` when it was not asked."""

    def __init__(self, client: LLMServiceAdapter) -> None:
        self._client = client
        self.said: Completion | None = None

    async def complete(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> Completion:
        """Return the whole answer."""
        self.said = await self._client.complete(messages, options, request_id=request_id)
        return self.said

    async def stream(
        self, messages: Sequence[ChatMessage], options: SamplingOptions, *, request_id: str | None = None
    ) -> AsyncIterator[TextDelta | Completion]:
        """Answer in one piece."""
        yield await self.complete(messages, options, request_id=request_id)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, the model's own words for it (``None``: it was not asked), and the seconds that both took."""

    answer: RagAnswer
    said: Completion | None
    seconds: float


async def ask(
    rag: RAGService, text: str, history: Sequence[ChatMessage] = (), model: RecordedModel | None = None
) -> Answered:
    """Ask one question; ``model`` is the one that words the answer, if any."""
    if model:
        model.said = None
    started = time.perf_counter()
    answer = await rag.answer(text, history=history)
    return Answered(answer, model.said if model else None, time.perf_counter() - started)


@contextmanager
def backend_process(**variables: str) -> Iterator[Server]:
    """A backend with a database of its own and the sample lexicon."""
    app, port = Workspace(ROOT).backend, free_port()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # the embedded database gives up root's rights and must still reach its folder
        placed = {"BACKEND_PORT": str(port), "DATA_DIR": name, "LOG_LEVEL": "ERROR", **variables}
        with Server("backend", (app.python, "main.py"), app.folder, placed, port, "/readyz") as server:
            yield server
