"""The LLM service: language model and sentence embeddings over HTTP, on port 8001.

``uvicorn main:app --port 8001`` in this folder, or ``python main.py`` to use the settings.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from config.logs import configure_logs
from config.settings import Settings, otel_environment, settings
from middleware.api_key import ApiKey
from middleware.body_limit import BodyLimit
from middleware.drain import DrainGate
from middleware.request_context import RequestContext
from middleware.route_names import RouteNames
from observability.metrics import Metrics
from observability.tracing import open_tracer
from routers import api_description, errors, llm_router, openai_router, ops_router
from services.drain import Drain
from services.llm_service import LLMService, get_llm_service

logger = logging.getLogger("llm_service")


def create_app(config: Settings, service: LLMService) -> FastAPI:
    """Build the application around a service."""
    drain = Drain(config.llm_drain_grace_s, cut_off=service.stop)
    tracer = open_tracer(config.tracing, otel_environment(), "llm-service", config.app_version)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logger.info(
            "%s %s: loading %s and %s", config.app_name, config.app_version, config.llm_model, config.embedding_model
        )
        tracer.start()
        with drain.signals_taken_over():
            await service.start()
            try:
                yield
            finally:
                await service.stop()
                await tracer.close()

    # The docs pages come with their scripts and styles from the package: no internet is needed.
    app: FastAPI = FastAPIOffline(
        title=config.app_name,
        version=config.app_version,
        description="Text generation and sentence embeddings, each model loaded once.",
        openapi_tags=api_description.TAGS,
        generate_unique_id_function=api_description.operation_id,
        debug=config.debug,
        lifespan=lifespan,
        # Its own spans and logs would hold query strings and what exceptions say.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = config
    app.state.llm_service = service
    app.state.drain = drain
    app.state.metrics = Metrics(service, config)
    app.state.started = time.monotonic()
    app.state.started_at = int(time.time())
    routers = (llm_router.router, openai_router.router, ops_router.router)
    for router in routers:
        app.include_router(router)
    errors.install(app)
    key = config.llm_service_api_key.get_secret_value() if config.llm_service_api_key else None
    api_description.install(app, asks_for_key=key is not None)
    # The last one added is the outermost.
    app.add_middleware(DrainGate, drain=drain)
    app.add_middleware(ApiKey, key=key)
    app.add_middleware(BodyLimit, max_bytes=config.max_body_bytes)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=config.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Retry-After", "X-Cache"],
    )
    names = RouteNames([*app.routes, *(route for router in routers for route in router.routes)])
    app.add_middleware(RequestContext, metrics=app.state.metrics, routes=names, tracer=tracer)
    return app


def _stop_for(reason: str) -> None:
    """End the process because a model can never be loaded with these settings."""
    logger.critical("cannot start: %s", reason)
    os.kill(os.getpid(), signal.SIGTERM)


configure_logs(settings.log_level, settings.log_format)
app = create_app(settings, get_llm_service(on_fatal=_stop_for))


if __name__ == "__main__":
    import uvicorn

    # log_config: its lines go where ours go.
    uvicorn.run(app, host=settings.llm_service_host, port=settings.llm_service_port, access_log=False, log_config=None)
