"""The backend: ``uvicorn main:app --port 8000``, or ``python main.py``, which honours the settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from adapters.base import Embedder, LanguageModel, SamplingOptions
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.fallback import FallbackChain, Provider
from adapters.huggingface_adapter import HuggingFaceAdapter
from adapters.llm_service_adapter import LLMServiceAdapter
from adapters.llm_service_adapter import config_from_settings as service_config
from adapters.local_config import config_from_settings as local_config
from adapters.supabase_adapter import SupabaseAdapter
from config.logs import configure_logging
from config.settings import BACKEND_ROOT, Settings, otel_environment, secret
from config.settings import settings as process_settings
from middleware.auth import ApiKeyMiddleware
from middleware.body_limit import BodyLimitMiddleware
from middleware.request_context import RequestContextMiddleware
from middleware.route_names import RouteNames
from middleware.security_headers import SecurityHeadersMiddleware
from observability.events import Observe
from observability.metrics import Metrics
from observability.tracing import Tracer, open_tracer
from observability.tracing_events import noting
from routers import api_description, ops_router, pages, rag_router
from routers.dependencies import Services
from routers.errors import install_error_handlers
from services.ingestion import DocumentIngestor
from services.prompts import DEFAULT_PERSONA, build_messages
from services.rag_service import RAGService
from startup import StartableStore, Startup

_GRACE_S = 10
_WEB = BACKEND_ROOT / "web"


class Closeable(LanguageModel, Embedder, Protocol):
    """Language model and embedder in one, with a life of their own."""

    async def close(self) -> None:
        """Let go of connections, threads and memory."""
        ...


@dataclass(slots=True)
class Collaborators:
    """Everything with a life of its own; what is not given is made from the settings."""

    store: StartableStore | None = None
    llm_service: LLMServiceAdapter | None = None
    local: Closeable | None = None


def create_app(settings: Settings | None = None, collaborators: Collaborators | None = None) -> FastAPI:
    """Return the app. Nothing is opened, started or loaded before its lifespan begins."""
    settings = settings or process_settings
    given = collaborators or Collaborators()
    metrics = Metrics(settings.app_version, shared=settings.shared_metrics)
    tracer = open_tracer(settings.tracing, otel_environment(), "backend", settings.app_version)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        _configure_logging(settings)
        async with contextlib.AsyncExitStack() as stack:
            tracer.start()
            stack.push_async_callback(tracer.close)
            app.state.services = services = await _wire(settings, given, stack, metrics)
            task = asyncio.create_task(services.startup.run(), name="startup")
            stack.push_async_callback(_cancelled, task)
            yield

    app = FastAPI(
        title=settings.app_name,
        version=settings.app_version,
        debug=False,
        lifespan=lifespan,
        description="A mentor for Bora that answers from a dictionary, and searches it by words and by meaning.",
        openapi_tags=api_description.TAGS,
        generate_unique_id_function=api_description.operation_id,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # Its own spans and logs would hold query strings, which are questions, and what exceptions say.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.metrics = metrics
    install_error_handlers(app)
    routers = (
        rag_router.router,
        ops_router.router,
        pages.docs_router("openapi.json"),
        pages.page_router(settings.page_suggestions),
    )
    for router in routers:
        app.include_router(router)
    pages.mount_pages(app, _WEB)
    # The app's own list has included routers as one each, without their routes.
    names = RouteNames([*app.routes, *(route for router in routers for route in router.routes)], pages.paths(_WEB))
    _add_middleware(app, settings, names, metrics, tracer)
    api_description.install(app, asks_for_key=bool(secret(settings.backend_api_key)))
    return app


def _add_middleware(app: FastAPI, settings: Settings, names: RouteNames, observe: Observe, tracer: Tracer) -> None:
    """The last one added is the first to see a request."""
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
    app.add_middleware(ApiKeyMiddleware, api_key=secret(settings.backend_api_key))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestContextMiddleware, routes=names, observe=observe, tracer=tracer)


async def _wire(
    settings: Settings, given: Collaborators, stack: contextlib.AsyncExitStack, metrics: Metrics
) -> "RunningServices":
    """Make what is not given, and have the stack close it; the last one made is closed first."""
    service = given.llm_service or LLMServiceAdapter(service_config(settings))
    stack.push_async_callback(service.close)
    local = given.local or HuggingFaceAdapter(local_config(settings))
    stack.push_async_callback(local.close)
    store = given.store or _make_store(settings, stack)
    stack.push_async_callback(store.close)

    local_provider = Provider("local", local, local)
    enabled = settings.llm_service_enabled
    providers = [Provider("llm_service", service, service), local_provider] if enabled else [local_provider]
    observe = noting(metrics)
    chain = FallbackChain(providers, observe=observe)
    if enabled:
        metrics.watch_circuits(service.circuits)
    # Vectors in bulk come from the first provider only: filling in can wait until it is there.
    ingestor = DocumentIngestor(store, service if enabled else local)
    sampling = SamplingOptions(
        max_new_tokens=min(settings.llm_max_new_tokens, settings.rag_max_new_tokens),
        temperature=settings.llm_temperature,
        top_p=settings.llm_top_p,
    )
    return RunningServices(
        settings=settings,
        store=store,
        rag=RAGService(
            store,
            local,
            language_model=chain,
            embedder=chain,
            sampling=sampling,
            top_k=settings.rag_top_k,
            prompt=partial(build_messages, persona=settings.rag_persona or DEFAULT_PERSONA),
            observe=observe,
        ),
        ingestor=ingestor,
        startup=Startup(store, ingestor, settings.sample_lexicon_path, chain.note_fingerprint),
        llm_service=service if enabled else None,
    )


@dataclass(frozen=True, slots=True)
class RunningServices(Services):
    """The collaborators, with the background task that the lifespan runs."""

    startup: Startup


def _make_store(settings: Settings, stack: contextlib.AsyncExitStack) -> SupabaseAdapter:
    dsn = secret(settings.database_url)
    embedded = None if dsn else EmbeddedPostgres(settings.data_dir)
    if embedded is not None:
        stack.push_async_callback(embedded.stop)
    return SupabaseAdapter(
        dsn or embedded.uri,  # type: ignore[union-attr]
        dimension=settings.embedding_dimension,
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout,
    )


def _configure_logging(settings: Settings) -> None:
    configure_logging(settings.log_level, settings.log_format, secrets=settings.secrets)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# Before the server writes its first line, however it was started.
_configure_logging(process_settings)
app = create_app()

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=process_settings.backend_host,
        port=process_settings.backend_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
