"""The database and the embedder of the settings, opened for a command and closed with its stack."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from adapters.ports.models import Embedder
from adapters.postgres.database import Dsn
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from services.library.index import LibraryIndex

if TYPE_CHECKING:
    from config.settings import Settings


async def open_dsn(settings: "Settings", stack: AsyncExitStack) -> Dsn:
    """Return the configured database's address, or start the embedded one."""
    from config.settings import secret

    dsn = secret(settings.database_url)
    if dsn is not None:
        return dsn
    postgres = EmbeddedPostgres(settings.data_dir)
    stack.push_async_callback(postgres.stop)
    await postgres.start()
    return postgres.uri


async def open_store(dsn: Dsn, settings: "Settings", stack: AsyncExitStack) -> SupabaseAdapter:
    """Return the document store, connected and migrated."""
    store = SupabaseAdapter(
        dsn,
        LibraryIndex(),
        dimension=settings.embedding_dimension,
        text_languages=settings.rag_text_languages,
        pool_size=2,
        timeout_s=settings.database_timeout,
        # Writing a batch of hundreds of documents takes longer than a search.
        statement_timeout_s=max(60.0, settings.database_timeout),
    )
    stack.push_async_callback(store.close)
    await store.start()
    return store


def open_embedder(settings: "Settings", stack: AsyncExitStack) -> Embedder:
    """Return the client of the LLM service."""
    from adapters.llm_service_adapter import LLMServiceAdapter, config_from_settings

    adapter = LLMServiceAdapter(config_from_settings(settings))
    stack.push_async_callback(adapter.close)
    return adapter
