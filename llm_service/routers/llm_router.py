"""``/api/llm/*``: generation, embeddings, health."""

import base64
import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from config.settings import Settings
from engines.base import ChatMessage, FirstToken, GenerationRequest, SamplingParams, TextDelta
from routers.disconnect import ClientDisconnected, until_disconnect
from routers.errors import responses, service_error_body
from schemas.embedding import EmbedRequest, EmbedResponse
from schemas.generation import GenerateRequest, GenerateResponse, JsonSchemaFormat
from schemas.health import HealthResponse
from services.errors import InvalidRequest, ServiceError
from services.llm_service import LLMService
from services.results import GenerationResult

router = APIRouter(prefix="/api/llm", tags=["LLM"])

SSE_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
CLIENT_CLOSED = 499

Timeout = Annotated[
    int | None,
    Header(alias="X-Request-Timeout-Ms", ge=1, le=86_400_000, description="Milliseconds this request may take"),
]


def get_service(request: Request) -> LLMService:
    """The service the application was made with."""
    service: LLMService = request.app.state.llm_service
    return service


def get_settings(request: Request) -> Settings:
    """The settings the application was made with."""
    config: Settings = request.app.state.settings
    return config


Service = Annotated[LLMService, Depends(get_service)]
Config = Annotated[Settings, Depends(get_settings)]


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "The answer; with stream, server-sent events"},
        **responses(400, 401, 413, 422, 500, 503, 504),
    },
    summary="Answer a conversation",
)
async def generate(
    body: GenerateRequest, request: Request, service: Service, config: Config, timeout_ms: Timeout = None
) -> Response:
    """Continue the conversation in ``messages``.

    With ``stream: true`` the answer comes as server-sent events: ``{"delta": "…"}`` for each piece,
    then the whole response object, then ``[DONE]``. An ``error`` event ends a stream that broke.
    """
    request_id = str(request.state.request_id)
    generation = _to_generation_request(body, config)
    items = service.stream(generation, timeout_ms / 1000 if timeout_ms else None)
    try:
        if body.stream:
            # Nothing is sent before the first token, so that a refusal still has a status of its own.
            first = await until_disconnect(request, anext(items))
            return StreamingResponse(
                _server_sent_events(first, items, request_id), media_type="text/event-stream", headers=SSE_HEADERS
            )
        result = await until_disconnect(request, _result(items))
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    return Response(orjson.dumps(_to_body(result, request_id)), media_type="application/json")


@router.post(
    "/embed",
    response_model=EmbedResponse,
    responses=responses(400, 401, 413, 422, 500, 503, 504),
    summary="Turn texts into vectors",
)
async def embed(
    body: EmbedRequest, request: Request, service: Service, config: Config, timeout_ms: Timeout = None
) -> Response:
    """Return one vector for each text, in order."""
    if not body.texts:
        raise InvalidRequest("texts: must not be empty")
    if len(body.texts) > config.embed_max_texts:
        raise InvalidRequest(f"texts: at most {config.embed_max_texts} in one request")
    work = service.embed(
        tuple(body.texts), normalize=body.normalize, timeout_s=timeout_ms / 1000 if timeout_ms else None
    )
    try:
        result = await until_disconnect(request, work)
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    vectors: Any = result.vectors
    if body.encoding_format == "base64":
        vectors = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in result.vectors]
    payload = {
        "embeddings": vectors,
        "dim": result.vectors.shape[1],
        "count": len(result.vectors),
        "model": result.model,
        "fingerprint": result.fingerprint,
        "tokens": result.tokens,
        "truncated": result.truncated,
        "dtype": np.dtype(result.vectors.dtype).name,
    }
    return Response(orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


@router.get(
    "/health",
    response_model=HealthResponse,
    responses={503: {"model": HealthResponse}, **responses(401)},
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


def _to_generation_request(body: GenerateRequest, config: Settings) -> GenerationRequest:
    def chosen(value: Any, default: Any) -> Any:
        return default if value is None else value

    schema = None
    if isinstance(body.response_format, JsonSchemaFormat):
        schema = json.dumps(body.response_format.json_schema)
    elif body.response_format is not None and body.response_format.type == "json_object":
        schema = '{"type": "object"}'
    return GenerationRequest(
        id=uuid.uuid4().hex,
        messages=tuple(ChatMessage(message.role, message.content) for message in body.messages),
        sampling=SamplingParams(
            max_new_tokens=chosen(body.max_new_tokens, config.llm_max_new_tokens),
            temperature=chosen(body.temperature, config.llm_temperature),
            top_p=chosen(body.top_p, config.llm_top_p),
            stop=tuple(body.stop or ()),
            seed=body.seed,
            json_schema=schema,
        ),
        enable_thinking=chosen(body.enable_thinking, config.llm_enable_thinking),
        stream=body.stream,
    )


def _to_body(result: GenerationResult, request_id: str) -> dict[str, Any]:
    return {
        "answer": result.answer,
        "model": result.model,
        "tokens_generated": result.completion_tokens,
        "device": result.device,
        "finish_reason": result.finish_reason,
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "total_tokens": result.prompt_tokens + result.completion_tokens,
        },
        "timings": {
            "queue_ms": result.timings.queue_ms,
            "ttft_ms": result.timings.ttft_ms,
            "total_ms": result.timings.total_ms,
            "tokens_per_second": result.timings.tokens_per_second,
        },
        "cached": False,
        "request_id": request_id,
    }


async def _result(items: AsyncGenerator[FirstToken | TextDelta | GenerationResult, None]) -> GenerationResult:
    async with contextlib.aclosing(items):
        async for item in items:
            if isinstance(item, GenerationResult):
                return item
    raise AssertionError("a stream ends with its result or an error")


async def _server_sent_events(
    first: FirstToken | TextDelta | GenerationResult,
    rest: AsyncGenerator[FirstToken | TextDelta | GenerationResult, None],
    request_id: str,
) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(rest):
        try:
            item: FirstToken | TextDelta | GenerationResult | None = first
            while item is not None:
                if isinstance(item, TextDelta):
                    yield _event({"delta": item.text})
                elif isinstance(item, GenerationResult):
                    yield _event(_to_body(item, request_id))
                item = await anext(rest, None)
            yield b"data: [DONE]\n\n"
        except ServiceError as error:
            yield b"event: error\n" + _event(service_error_body(error, request_id))


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
