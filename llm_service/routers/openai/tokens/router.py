"""``/tokenize`` and ``/detokenize``."""

from fastapi import APIRouter, Request, Response
from service_kit.disconnect import until_disconnect

import engines.base as engine
from engines.request_ids import unique_id
from routers.dependencies import Config, Service, Timeout
from routers.error_docs import responses
from routers.generation_wire import to_generation_request
from routers.openai.models.names import chat_model
from routers.openai.tokens.schemas import (
    MAX_CHARACTERS,
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)
from routers.unknown_fields import HEADER_DOC, ignored_fields
from services.errors import InvalidRequest

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/tokenize",
    responses={
        200: {"headers": HEADER_DOC, "description": "The token ids"},
        **responses(400, 401, 404, 405, 413, 422, 500, 503, 504),
    },
    summary="Turn a text or a conversation into token ids",
)
async def tokenize(
    body: TokenizeRequest,
    request: Request,
    response: Response,
    service: Service,
    config: Config,
    timeout_ms: Timeout = None,
) -> TokenizeResponse:
    """Return the language model's token ids, as vLLM does. Those of a conversation are what a request with the same
    fields would count as ``prompt_tokens``.
    """
    chat_model(service, config).check(body.model)
    response.headers.update(ignored_fields(body, config))
    asked = _tokenize_request(body, config, str(request.state.request_id))
    work = service.tokenize(asked, timeout_ms / 1000 if timeout_ms else None)
    tokens = await until_disconnect(request, work)
    info = service.health().generator_info
    return TokenizeResponse(count=len(tokens), max_model_len=info.context_length if info else 0, tokens=list(tokens))


@router.post(
    "/detokenize",
    responses={
        200: {"headers": HEADER_DOC, "description": "The text"},
        **responses(400, 401, 404, 405, 413, 422, 500, 503, 504),
    },
    summary="Turn token ids into a text",
)
async def detokenize(
    body: DetokenizeRequest,
    request: Request,
    response: Response,
    service: Service,
    config: Config,
    timeout_ms: Timeout = None,
) -> DetokenizeResponse:
    """Return the text of the language model's token ids, as vLLM does."""
    chat_model(service, config).check(body.model)
    response.headers.update(ignored_fields(body, config))
    asked = engine.DetokenizeRequest(unique_id(str(request.state.request_id)), tuple(body.tokens))
    work = service.detokenize(asked, timeout_ms / 1000 if timeout_ms else None)
    return DetokenizeResponse(prompt=await until_disconnect(request, work))


def _tokenize_request(body: TokenizeRequest, config: Config, request_id: str) -> engine.TokenizeRequest:
    """Raises ``InvalidRequest``."""
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequest("exactly one of prompt and messages", field="prompt")
    if body.messages is None:
        special = body.add_special_tokens is not False
        return engine.TokenizeRequest(unique_id(request_id), body.prompt or "", special)
    if body.add_special_tokens is not None:
        raise InvalidRequest("only together with prompt: a template writes its own", field="add_special_tokens")
    if sum(len(turn.text or "") for turn in body.messages) > MAX_CHARACTERS:
        raise InvalidRequest(f"at most {MAX_CHARACTERS} characters", field="messages")
    conversation = to_generation_request(body, body.messages, config, request_id, None)
    return engine.TokenizeRequest(conversation.id, special=True, conversation=conversation)
