"""The backend: ``uvicorn main:app --port 8000``, or ``python main.py``, which honours the settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import uvicorn
from fastapi import FastAPI
from service_kit.keys import KeyRing
from service_kit.middleware.access import ApiKeys
from service_kit.middleware.bodies import BodyLimit, RestOfBody
from service_kit.middleware.head import HeadAsGet
from service_kit.middleware.hosts import TrustedHosts, trusted_names
from service_kit.middleware.request_context import RequestContext
from service_kit.middleware.security_headers import SecurityHeaders
from service_kit.observability.logs import configure_logging
from service_kit.observability.route_names import RouteNames
from service_kit.observability.tracing import Tracing, open_tracing
from service_kit.openapi import operation_id
from service_kit.settings import otel_environment
from starlette.middleware.cors import CORSMiddleware

from adapters.fallback import FallbackChain, Provider
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.llm_service_adapter import config_from_settings as service_config
from adapters.local.config import config_from_settings as local_config
from adapters.ports.models import SamplingOptions
from adapters.postgres.embedded_postgres import EmbeddedPostgres
from adapters.supabase_adapter import SupabaseAdapter
from config.settings import BACKEND_ROOT, Settings, env_files, secret
from config.settings import settings as process_settings
from middleware.access import needed_scope
from observability.metrics import Metrics
from observability.request_record import RequestRecord
from routers import api_description, dictionary_router, library_router, ops_router, pages, rag_router, reports_router
from routers.dependencies import Services
from routers.errors import install_error_handlers
from services.library.index import LibraryIndex
from services.library.ingestion import DocumentIngestor
from services.library.uploads import Uploads
from services.rag_service import RAGService, TextOptions
from services.reports import Reports
from startup import Startup

_GRACE_S = 10
_WEB = BACKEND_ROOT / "web"


class LocalModels(Provider, Protocol):
    """Local language model and embedder with a managed lifetime."""

    def warm(self) -> None:
        """Start preparing for requests; return at once."""

    async def close(self) -> None:
        """Release connections, threads and memory."""


def create_app(
    settings: Settings, *, store: SupabaseAdapter | None = None, local: LocalModels | None = None
) -> FastAPI:
    """Return the app, with a store and local models made from the settings where none are given.

    Opens, starts and loads nothing before its lifespan begins.
    """
    metrics = Metrics(settings.app_version, shared=settings.shared_metrics)
    traces = open_tracing(settings.tracing, otel_environment(env_files()), "backend", settings.app_version)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        _configure_logging(settings)
        async with contextlib.AsyncExitStack() as stack:
            traces.start()
            stack.push_async_callback(traces.close)
            app.state.services = services = await _wire(settings, store, local, stack, metrics)
            stack.push_async_callback(services.reports.close)
            for name, work in (("startup", services.startup.run()), ("reports", services.reports.run())):
                stack.push_async_callback(_cancelled, asyncio.create_task(work, name=name))
            yield

    app = FastAPI(
        title=settings.app_name,
        version=settings.app_version,
        debug=False,
        lifespan=lifespan,
        description="A mentor for Bora that answers from a dictionary, and searches it by words and by meaning.",
        openapi_tags=api_description.TAGS,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # Disabled: its spans and logs would contain query strings, which are questions, and exception messages.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.metrics = metrics
    routers = (
        rag_router.router,
        dictionary_router.router,
        library_router.router,
        reports_router.router,
        ops_router.router,
        pages.pages_router(_WEB, settings.page_suggestions, reports=settings.reports),
    )
    routes = [route for router in routers for route in router.routes]
    install_error_handlers(app, routes)
    for router in routers:
        app.include_router(router)
    pages.mount_pages(app, _WEB)
    # The app's own list contains each included router as one item, without its routes.
    names = RouteNames([*app.routes, *routes], dict.fromkeys(pages.paths(_WEB), "page"))
    _add_middleware(app, settings, names, metrics, traces)
    api_description.install(app, needs_key=settings.has_keys)
    return app


def _add_middleware(app: FastAPI, settings: Settings, names: RouteNames, metrics: Metrics, traces: Tracing) -> None:
    """Add the middleware; the last one added handles a request first."""
    keys = KeyRing(secret(settings.backend_api_key), settings.backend_keys_file)
    app.add_middleware(HeadAsGet)
    files = {"/api/rag/uploads": settings.upload_max_bytes}
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, of_paths=files)
    app.add_middleware(ApiKeys, keys=keys, policy=needed_scope)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    app.add_middleware(
        TrustedHosts,
        names=trusted_names(settings.trusted_hosts, settings.backend_host, has_keys=settings.has_keys),
        origins=settings.cors_origins,
    )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(
        RequestContext,
        routes=names,
        traces=traces,
        traced=("/api/",),
        new_record=RequestRecord,
        on_end=metrics.requests.count,
    )
    app.add_middleware(RestOfBody)


async def _wire(
    settings: Settings,
    store: SupabaseAdapter | None,
    local: LocalModels | None,
    stack: contextlib.AsyncExitStack,
    metrics: Metrics,
) -> Services:
    """Create missing components; the stack closes them in reverse order."""
    local = local or HuggingFaceAdapter(local_config(settings))
    stack.push_async_callback(local.close)
    service = LLMServiceAdapter(service_config(settings), on_outage=local.warm)
    stack.push_async_callback(service.close)
    store = store or _make_store(settings, stack)
    stack.push_async_callback(store.close)

    enabled = settings.llm_service_enabled
    providers: dict[str, Provider] = {"llm_service": service, "local": local} if enabled else {"local": local}
    chain = FallbackChain(providers, metrics=metrics)
    if enabled:
        metrics.watch_circuits(service.circuits)
    else:
        local.warm()
    # Bulk embedding uses the first provider only; the back-fill can wait until it is available.
    ingestor = DocumentIngestor(store, service if enabled else local)
    sampling = SamplingOptions(
        max_new_tokens=min(settings.llm_max_new_tokens, settings.rag_max_new_tokens),
        temperature=settings.rag_temperature,
        top_p=settings.llm_top_p,
    )
    reports = Reports(store.reports, metrics, enabled=settings.reports)
    startup = Startup(store, ingestor, settings.sample_lexicon_path, chain.note_fingerprint)
    return Services(
        settings=settings,
        store=store,
        rag=RAGService(
            store,
            local,
            language_model=chain,
            embedder=chain,
            sampling=sampling,
            top_k=settings.rag_top_k,
            wording=settings.rag_wording,
            persona=settings.rag_persona or "",
            texts=TextOptions(
                threshold=settings.rag_text_threshold,
                prompt_tokens=settings.rag_passage_tokens,
                only=settings.mentor == "none",
            ),
            ranker=service if enabled and settings.rerank_model else None,
            metrics=metrics,
            on_missing=reports.note_missing,
        ),
        ingestor=ingestor,
        reports=reports,
        uploads=Uploads(store, ingestor, tables_as_text=settings.mentor == "none", on_loaded=startup.kick_backfill),
        startup=startup,
        llm_service=service if enabled else None,
    )


def _make_store(settings: Settings, stack: contextlib.AsyncExitStack) -> SupabaseAdapter:
    dsn = secret(settings.database_url)
    embedded = None if dsn else EmbeddedPostgres(settings.data_dir)
    if embedded is not None:
        stack.push_async_callback(embedded.stop)
    return SupabaseAdapter(
        dsn or embedded.uri,  # type: ignore[union-attr]
        LibraryIndex(),
        dimension=settings.embedding_dimension,
        text_languages=settings.rag_text_languages,
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout,
    )


def _configure_logging(settings: Settings) -> None:
    configure_logging(settings.log_level, settings.log_format, secrets=settings.secrets)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# At import time, before the server writes its first log line, however it was started.
_configure_logging(process_settings)
app = create_app(process_settings)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=process_settings.backend_host,
        port=process_settings.backend_port,
        http="h11",  # an environment made before may still hold httptools, which uvicorn would prefer
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
