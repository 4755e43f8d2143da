"""``/v1/*``: what OpenAI's clients speak."""

from functools import partial

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from engines.base import GenerationRequest
from observability.request_record import followed
from observability.tracing_genai import embedded
from routers.cache_control import CACHE_HEADER_DOC, Caching, cache_headers
from routers.dependencies import CLIENT_CLOSED, SSE_HEADERS, Config, Record, Service, Timeout
from routers.disconnect import ClientDisconnected, until_disconnect
from routers.error_docs import openai_responses
from routers.openai_chat_stream import completion_events
from routers.openai_chat_wire import Completion, completion_body, to_generation_requests, whole_answers
from routers.openai_choices import side_by_side
from routers.openai_embedding_wire import embeddings_body
from routers.openai_errors import bad_parameter, model_not_found
from routers.openai_models import ServedModel, chat_model, embedding_model
from schemas.openai_chat import ChatCompletionRequest
from schemas.openai_chat_answer import ChatCompletion
from schemas.openai_embedding import EmbeddingList, EmbeddingsRequest
from schemas.openai_model import Model, ModelList
from services.llm_service import LLMService
from services.results import GenerationItem

STREAM_EXAMPLE = (
    'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Lima."}, …}], …}\n\n'
    "data: [DONE]\n\n"
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "headers": CACHE_HEADER_DOC,
            "description": "The answer; with stream, server-sent events that each hold a chunk, then [DONE]",
        },
        **openai_responses(400, 401, 404, 405, 413, 500, 503, 504),
    },
    summary="Answer a conversation",
)
async def chat_completions(
    body: ChatCompletionRequest,
    request: Request,
    service: Service,
    config: Config,
    caching: Caching,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Continue the conversation in ``messages``, as OpenAI's chat completions do.

    With ``stream: true`` the answer comes as chunks, then ``[DONE]``; a stream that breaks ends with
    an event that holds an ``error``, and no ``[DONE]``.
    """
    chat_model(service, config).check(body.model)
    request_id = str(request.state.request_id)
    requests = to_generation_requests(body, config, request_id)
    timeout_s = timeout_ms / 1000 if timeout_ms else None
    ask = partial(service.stream, timeout_s=timeout_s, use_cache=caching.use_cache, fresh=caching.fresh)
    items = side_by_side([followed(ask, each, record, service, config) for each in requests])
    try:
        if body.stream:
            # Nothing is sent before the first token, so that a refusal still has a status of its own.
            first = await until_disconnect(request, anext(items))
            include_usage = bool(body.stream_options and body.stream_options.include_usage)
            return StreamingResponse(
                completion_events(first, items, _completion(service), include_usage=include_usage),
                media_type="text/event-stream",
                headers=SSE_HEADERS | _cache_headers(first[1], requests),
            )
        started, results = await until_disconnect(request, whole_answers(items))
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    return Response(
        orjson.dumps(completion_body(_completion(service), results)),
        media_type="application/json",
        headers=_cache_headers(started, requests),
    )


@router.post(
    "/embeddings",
    response_model=EmbeddingList,
    responses=openai_responses(400, 401, 404, 405, 413, 500, 503, 504),
    summary="Turn texts into vectors",
    response_description="The vectors, in the order of the texts",
)
async def embeddings(
    body: EmbeddingsRequest,
    request: Request,
    service: Service,
    config: Config,
    caching: Caching,
    record: Record,
    timeout_ms: Timeout = None,
) -> Response:
    """Return one vector of length 1 for each text, in order, as OpenAI's embeddings do."""
    embedding_model(service, config).check(body.model)
    if len(body.input) > config.embed_max_texts:
        raise bad_parameter("input", f"at most {config.embed_max_texts} texts in one request")
    timeout_s = timeout_ms / 1000 if timeout_ms else None
    request_id = str(request.state.request_id)
    texts = tuple(body.input)
    work = partial(service.embed, texts, request_id=request_id, timeout_s=timeout_s, use_cache=caching.use_cache)
    try:
        result = await until_disconnect(request, embedded(work, service))
    except ClientDisconnected:
        return Response(status_code=CLIENT_CLOSED)
    record.embedded(result)
    return Response(embeddings_body(body, result), media_type="application/json")


@router.get(
    "/models",
    response_model=ModelList,
    responses=openai_responses(401, 405),
    summary="What is served",
    response_description="The models",
)
async def models(request: Request, service: Service, config: Config) -> ModelList:
    """List the model that chats and the one that embeds."""
    served = {model.id: model for model in (chat_model(service, config), embedding_model(service, config))}
    return ModelList(object="list", data=[_model_card(request, model) for model in served.values()])


@router.get(
    "/models/{model:path}",
    response_model=Model,
    responses=openai_responses(401, 404, 405),
    summary="One model by its name",
    response_description="The model",
)
async def model(model: str, request: Request, service: Service, config: Config) -> Model:
    """Describe the model that answers to a name, which may contain slashes."""
    served = (chat_model(service, config), embedding_model(service, config))
    for candidate in served:
        if model in candidate.names:
            return _model_card(request, candidate)
    raise model_not_found(model, [candidate.id for candidate in served])


def _completion(service: LLMService) -> Completion:
    info = service.health().generator_info
    return Completion(service.model_name, info.fingerprint if info else None)


def _cache_headers(first: GenerationItem, requests: list[GenerationRequest]) -> dict[str, str]:
    # Of several choices each has a cache entry of its own.
    return cache_headers(first) if len(requests) == 1 else {}


def _model_card(request: Request, model: ServedModel) -> Model:
    created: int = request.app.state.started_at
    return Model(id=model.id, object="model", created=created, owned_by=model.owner)
