"""``/api/llm/*``: generation, embeddings, health."""

import time
from functools import partial

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse

from observability.request_record import followed
from observability.tracing_genai import embedded
from routers.cache_control import CACHE_HEADER_DOC, Caching, cache_headers
from routers.dependencies import CLIENT_CLOSED, SSE_HEADERS, Config, Record, Service, Timeout
from routers.disconnect import ClientDisconnected, until_disconnect
from routers.embedding_wire import embedding_body
from routers.error_docs import responses
from routers.generation_wire import server_sent_events, to_body, to_generation_request, whole_answer
from schemas.embedding import EmbedRequest, EmbedResponse
from schemas.generation import GenerateRequest, GenerateResponse
from schemas.health import HealthResponse
from services.errors import InvalidRequest

STREAM_EXAMPLE = (
    'data: {"delta": "The capital"}\n\ndata: {"delta": " of Peru is Lima."}\n\n'
    'data: {"answer": "The capital of Peru is Lima.", "finish_reason": "stop", …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/api/llm", tags=["LLM"])


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "headers": CACHE_HEADER_DOC,
            "description": "The answer; with stream, server-sent events",
        },
        **responses(400, 401, 405, 413, 422, 500, 503, 504),
    },
    summary="Answer a conversation",
)
async def generate(
    body: GenerateRequest,
    request: Request,
    service: Service,
    config: Config,
    caching: Caching,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Continue the conversation in ``messages``.

    With ``stream: true`` the answer comes as server-sent events: ``{"delta": "…"}`` for each piece,
    then the whole response object, then ``[DONE]``. An ``error`` event ends a stream that broke.
    """
    request_id = str(request.state.request_id)
    try:
        generation = to_generation_request(body, config, request_id)
    except InvalidRequest as error:
        field, _, reason = error.message.partition(": ")
        raise RequestValidationError([{"loc": ("body", field), "msg": reason}]) from error
    timeout_s = timeout_ms / 1000 if timeout_ms else None
    ask = partial(service.stream, timeout_s=timeout_s, use_cache=caching.use_cache, fresh=caching.fresh)
    items = followed(ask, generation, record, service, config)
    try:
        if body.stream:
            # Nothing is sent before the first token, so that a refusal still has a status of its own.
            first = await until_disconnect(request, anext(items))
            return StreamingResponse(
                server_sent_events(first, items, request_id),
                media_type="text/event-stream",
                headers=SSE_HEADERS | cache_headers(first),
            )
        started, result = await until_disconnect(request, whole_answer(items))
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    return Response(
        orjson.dumps(to_body(result, request_id)), media_type="application/json", headers=cache_headers(started)
    )


@router.post(
    "/embed",
    response_model=EmbedResponse,
    responses=responses(400, 401, 405, 413, 422, 500, 503, 504),
    summary="Turn texts into vectors",
    response_description="The vectors, in the order of the texts",
)
async def embed(
    body: EmbedRequest,
    request: Request,
    service: Service,
    config: Config,
    caching: Caching,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Return one vector for each text, in order. Texts that were embedded before are not again."""
    if not body.texts:
        raise InvalidRequest("texts: must not be empty")
    if len(body.texts) > config.embed_max_texts:
        raise InvalidRequest(f"texts: at most {config.embed_max_texts} in one request")
    work = partial(
        service.embed,
        tuple(body.texts),
        normalize=body.normalize,
        request_id=str(request.state.request_id),
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        # There is one vector for a text: computing it anew gives the one that is kept.
        use_cache=caching.use_cache and not caching.fresh,
    )
    try:
        result = await until_disconnect(request, embedded(work, service))
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    record.embedded(result)
    return Response(embedding_body(body, result), media_type="application/json")


@router.get(
    "/health",
    response_model=HealthResponse,
    responses={
        200: {"description": "Requests are served"},
        503: {"model": HealthResponse, "description": "Loading, or a model cannot be used; the body says which"},
        **responses(401, 405),
    },
    summary="State of the service",
)
async def health(request: Request, service: Service, config: Config) -> JSONResponse:
    """Answer at once with what is known; never loads a model, never waits for one."""
    state = service.health()
    info, embedder = state.generator_info, state.embedder_info
    body = {
        "status": state.status,
        "model": service.model_name,
        "device": service.device,
        "embedding_model": embedder.model if embedder else config.embedding_model,
        "backend": info.backend if info else None,
        "artifact": info.artifact if info else None,
        "requested_model": config.llm_model,
        "degraded": bool(info and info.degraded),
        "fingerprint": embedder.fingerprint if embedder else None,
        "queue": {"running": state.running, "waiting": state.waiting, "capacity": state.capacity},
        "workers": {"generator": state.generator, "embedder": state.embedder},
        "restarts": state.restarts,
        "error": state.last_error,
        "uptime_s": round(time.monotonic() - request.app.state.started, 1),
        "version": config.app_version,
    }
    return JSONResponse(body, 503 if state.status in ("unhealthy", "loading") else 200)
