"""``/api/llm/*``: generation, embeddings, health."""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from service_kit.disconnect import until_disconnect

from observability.tracing_genai import embedded
from routers.answering import AnswersHere
from routers.cache_control import CACHE_HEADER_DOC, Caching
from routers.dependencies import Config, Record, Service, Timeout
from routers.embedding_wire import embedding_body
from routers.error_docs import responses
from routers.generation_wire import server_sent_events, to_body, to_generation_request
from routers.state_wire import health_body, status_body
from routers.unknown_fields import HEADER_DOC, ignored_fields
from schemas.embedding import EmbedRequest, EmbedResponse
from schemas.generation import GenerateRequest, GenerateResponse
from schemas.health import HealthResponse
from schemas.status import StatusResponse
from services.errors import InvalidTexts

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
            "headers": CACHE_HEADER_DOC | HEADER_DOC,
            "description": "The answer; with stream, server-sent events",
        },
        **responses(400, 401, 405, 413, 422, 500, 503, 504),
    },
    summary="Answer a conversation",
)
async def generate(body: GenerateRequest, here: AnswersHere) -> Response:
    """Continue the conversation in ``messages``.

    With ``stream: true`` the answer is sent as server-sent events: ``{"delta": "…"}`` for each piece,
    then the complete response object, then ``[DONE]``. A failed stream ends with an ``error`` event.
    """
    headers = ignored_fields(body, here.config)
    asked = to_generation_request(body, body.messages, here.config, here.request_id, body.max_new_tokens)
    return await here.respond(
        [asked],
        headers,
        body=lambda results: to_body(results[0], here.request_id),
        events=partial(server_sent_events, request_id=here.request_id),
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
    """Return one vector per text, in order. Vectors of known texts come from a cache."""
    if not body.texts:
        raise InvalidTexts("must not be empty", field="texts")
    if len(body.texts) > config.embed_max_texts:
        raise InvalidTexts(f"at most {config.embed_max_texts} in one request", field="texts")
    headers = ignored_fields(body, config)
    work = partial(
        service.embed,
        tuple(body.texts),
        normalize=body.normalize,
        input_type=body.input_type,
        request_id=str(request.state.request_id),
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        # Vectors are deterministic: a recomputed one equals the cached one, so ``fresh`` need not store it.
        use_cache=caching.use_cache and not caching.fresh,
    )
    result = await until_disconnect(request, embedded(work, service))
    record.embedded(result)
    return Response(embedding_body(body, result), media_type="application/json", headers=headers)


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
    """Return the current health at once; never loads a model, never waits for one."""
    state = service.health()
    body = health_body(state, request, service, config)
    return JSONResponse(body, 503 if state.status in ("unhealthy", "loading") else 200)


@router.get(
    "/status",
    response_model=StatusResponse,
    response_description="The state, whatever it is",
    responses=responses(401, 405),
    summary="State of the service for people",
)
async def status(request: Request, service: Service, config: Config) -> JSONResponse:
    """Return health with each model, memory by process, the speed of the last answers, and the last error.

    What the page at ``/`` shows; 200 in every state. Loads nothing and asks no model.
    """
    return JSONResponse(await status_body(request, service, config))
