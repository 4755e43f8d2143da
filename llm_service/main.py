"""The LLM service: language model and sentence embeddings over HTTP, on port 8001.

``uvicorn main:app --port 8001`` in this folder, or ``python main.py`` to use the settings.
"""

import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from service_kit.keys import KeyRing
from service_kit.middleware.access import ApiKeys
from service_kit.middleware.bodies import BodyLimit, RestOfBody
from service_kit.middleware.head import HeadAsGet
from service_kit.middleware.hosts import TrustedHosts, trusted_names
from service_kit.middleware.request_context import RequestContext
from service_kit.observability.logs import configure_logging
from service_kit.observability.route_names import RouteNames
from service_kit.observability.tracing import Tracing, open_tracing
from service_kit.openapi import operation_id
from service_kit.settings import otel_environment

from config.settings import Settings, env_files, settings
from middleware.access import needed_scope
from middleware.drain import DrainGate
from middleware.page import FOLDER, PageAtRoot, page_files
from observability.metrics import Metrics
from observability.request_record import RequestRecord
from routers import api_description, errors, llm_router, ops_router, ranking
from routers.openai import chat, completions, embeddings, models, tokens
from routers.openai.responses import router as responses
from services.drain import Drain
from services.llm_service import LLMService, get_llm_service

ENDPOINTS = (llm_router, chat, responses, completions, embeddings, models, tokens, ranking, ops_router)

logger = logging.getLogger("llm_service")


def create_app(config: Settings, service: LLMService) -> FastAPI:
    """Build the application around a service."""
    drain = Drain(config.llm_drain_grace_s, cut_off=service.stop)
    traces = open_tracing(config.tracing, otel_environment(env_files()), "llm-service", config.app_version)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logger.info(
            "%s %s: loading %s and %s", config.app_name, config.app_version, config.llm_model, config.embedding_model
        )
        for name in config.ignored:
            logger.warning("%s is ignored and will go", name)
        traces.start()
        with drain.signals_taken_over():
            await service.start()
            try:
                yield
            finally:
                await service.stop()
                await traces.close()

    # The docs pages come with their scripts and styles from the package: no internet is needed.
    app: FastAPI = FastAPIOffline(
        title=config.app_name,
        version=config.app_version,
        description="Text generation, sentence embeddings and ranking, each model loaded once.",
        openapi_tags=api_description.TAGS,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        # FastAPI's own spans and logs would contain query strings and exception messages.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = config
    app.state.llm_service = service
    app.state.drain = drain
    app.state.metrics = Metrics(service, config)
    app.state.started = time.monotonic()
    app.state.started_at = int(time.time())
    routers = [endpoint.router for endpoint in ENDPOINTS]
    for router in routers:
        app.include_router(router)
    app.mount(FOLDER.rstrip("/"), page_files(), name="page")
    errors.install(app)
    api_description.install(app, needs_key=config.has_keys)
    names = RouteNames([*app.routes, *(route for router in routers for route in router.routes)])
    _add_middleware(app, config, drain, names, traces)
    return app


def _add_middleware(app: FastAPI, config: Settings, drain: Drain, names: RouteNames, traces: Tracing) -> None:
    """The last one added is the first to see a request."""
    respond = errors.error_response
    key = config.llm_service_api_key.get_secret_value() if config.llm_service_api_key else None
    keys = KeyRing(key, config.llm_service_keys_file)
    app.add_middleware(HeadAsGet)
    app.add_middleware(DrainGate, drain=drain)
    app.add_middleware(BodyLimit, max_bytes=config.max_body_bytes, respond=respond)
    app.add_middleware(ApiKeys, keys=keys, policy=needed_scope, respond=respond)
    app.add_middleware(PageAtRoot)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=config.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After", "X-Cache"],
    )
    app.add_middleware(
        TrustedHosts,
        names=trusted_names(config.trusted_hosts, config.llm_service_host, has_keys=config.has_keys),
        origins=config.cors_origins,
        respond=respond,
    )
    app.add_middleware(
        RequestContext,
        routes=names,
        traces=traces,
        traced=("/api/", "/v1/", "/rerank"),
        untraced=("/api/llm/health",),
        new_record=RequestRecord,
        on_end=app.state.metrics.count,
        respond=respond,
    )
    app.add_middleware(RestOfBody)


def _stop_for(reason: str) -> None:
    """End the process: a model can never be loaded with these settings."""
    logger.critical("cannot start: %s", reason)
    signal.raise_signal(signal.SIGTERM)  # os.kill would be TerminateProcess on Windows


configure_logging(settings.log_level, settings.log_format, secrets=settings.secrets, quote_errors=True)
app = create_app(settings, get_llm_service(on_fatal=_stop_for))


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        app,
        host=settings.llm_service_host,
        port=settings.llm_service_port,
        http="h11",
        ws="none",
        access_log=False,
        log_config=None,  # uvicorn's lines go through this service's formatter
    )
