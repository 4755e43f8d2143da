"""``/api/llm/*``: generation, embeddings, health."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from routers.calls import Call, json_response
from routers.dependencies import Config, Service
from routers.error_docs import of_a_model, responses
from routers.wire.embedding import embed_texts, embedding_body
from routers.wire.generation_answer import GeneratedAnswer
from routers.wire.generation_request import chat_messages, to_generation_request
from routers.wire.state import health_body, status_body
from schemas.embedding import EmbedRequest, EmbedResponse
from schemas.generation import GenerateRequest, GenerateResponse
from schemas.state import HealthResponse, StatusResponse

STREAM_EXAMPLE = (
    'data: {"delta": "The capital"}\n\ndata: {"delta": " of Peru is Lima."}\n\n'
    'data: {"answer": "The capital of Peru is Lima.", "finish_reason": "stop", …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/api/llm", tags=["LLM"])


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses=of_a_model("The answer; with stream, server-sent events", stream=STREAM_EXAMPLE),
    summary="Answer a conversation",
)
async def generate(body: GenerateRequest, call: Call) -> Response:
    """Continue the conversation in ``messages``.

    With ``stream: true`` the answer is sent as server-sent events: ``{"delta": "…"}`` for each piece,
    then the complete response object, then ``[DONE]``. A failed stream ends with an ``error`` event.
    """
    headers = call.headers(body)
    messages = chat_messages(body.messages)
    asked = to_generation_request(body, messages, call.config, call.request_id, body.max_new_tokens)
    return await call.respond([asked], headers, GeneratedAnswer(call.request_id))


@router.post(
    "/embed",
    response_model=EmbedResponse,
    responses=of_a_model("The vectors, in the order of the texts"),
    summary="Turn texts into vectors",
)
async def embed(body: EmbedRequest, call: Call) -> Response:
    """Return one vector per text, in order. Vectors of known texts come from a cache."""
    headers = call.headers(body)
    result = await embed_texts(call, body, body.texts, "texts", normalize=body.normalize)
    return json_response(embedding_body(body, result), headers)


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
    body = health_body(request, service, config)
    return JSONResponse(body, 503 if body["status"] in ("unhealthy", "loading") else 200)


@router.get(
    "/status",
    response_model=StatusResponse,
    response_description="The current state",
    responses=responses(401, 405),
    summary="State of the service for people",
)
async def status(request: Request, service: Service, config: Config) -> JSONResponse:
    """Return health with each model, memory by process, the speed of the last answers, and the last error.

    What the page at ``/`` shows; 200 in every state. Loads nothing and asks no model.
    """
    return JSONResponse(await status_body(request, service, config))
