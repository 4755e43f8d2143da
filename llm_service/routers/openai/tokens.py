"""``/tokenize`` and ``/detokenize``, as vLLM has them."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

import engines.requests as engine
from engines.requests import unique_id
from routers.calls import Call, ModelCall
from routers.error_docs import of_a_model
from routers.openai.chat import ChatMessage
from routers.openai.fields import ModelName, OnlyNeutral
from routers.openai.models import check_model
from routers.wire.generation_request import chat_messages, to_generation_request
from schemas.common import WHOLE, RequestModel, Text, WireModel, example
from schemas.generation import MAX_MESSAGES, GenerationFields
from services.errors import InvalidRequest

MAX_CHARACTERS = 256 * 1024
"""A tokenizer reads these in some tenths of a second, during which no token is generated."""
MAX_TOKENS = 64 * 1024

router = APIRouter(tags=["OpenAI"])


class TokenizeRequest(GenerationFields):
    """A text, or a conversation as the model reads it: with its tools, its template and the beginning of an answer."""

    model_config = example(prompt="Hola mundo")

    model: ModelName = Field(default="default", description="As in /v1/models, or default")
    prompt: Annotated[Text, Field(max_length=MAX_CHARACTERS)] | None = Field(
        default=None, description="A text; its control tokens are read as such"
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = Field(
        default=None, description="A conversation, in place of the text"
    )
    add_special_tokens: bool | None = Field(default=None, description="Those around a text; default true")
    add_generation_prompt: Annotated[Any, OnlyNeutral(True)] = None  # noqa: FBT003 - a value, not a switch
    return_token_strs: Annotated[Any, OnlyNeutral(False)] = None  # noqa: FBT003 - a value, not a switch


class TokenizeResponse(WireModel):
    """Token ids of the language model."""

    count: int
    max_model_len: int = Field(description="Tokens that the model reads and writes together")
    tokens: list[int]


class DetokenizeRequest(RequestModel):
    """Token ids of the language model."""

    model_config = example(tokens=[72, 111, 108, 97])

    model: ModelName = Field(default="default", description="As in /v1/models, or default")
    tokens: list[Annotated[int, Field(ge=0, lt=2**31), WHOLE]] = Field(max_length=MAX_TOKENS)


class DetokenizeResponse(WireModel):
    """The text of token ids, control tokens included."""

    prompt: str


@router.post(
    "/tokenize", responses=of_a_model("The token ids", 404), summary="Turn a text or a conversation into token ids"
)
async def tokenize(body: TokenizeRequest, call: Call, response: Response) -> TokenizeResponse:
    """Return the language model's token ids, as vLLM does. Those of a conversation are what a request with the same
    fields would count as ``prompt_tokens``.
    """
    check_model(call.service, "generator", body.model)
    response.headers.update(call.headers(body))
    tokens = await call.until_left(call.service.tokenize(_tokenize_request(body, call), call.timeout_s))
    info = call.service.info("generator")
    return TokenizeResponse(count=len(tokens), max_model_len=info.context_length if info else 0, tokens=list(tokens))


@router.post("/detokenize", responses=of_a_model("The text", 404), summary="Turn token ids into a text")
async def detokenize(body: DetokenizeRequest, call: Call, response: Response) -> DetokenizeResponse:
    """Return the text of the language model's token ids, as vLLM does."""
    check_model(call.service, "generator", body.model)
    response.headers.update(call.headers(body))
    asked = engine.DetokenizeRequest(unique_id(call.request_id), tuple(body.tokens))
    return DetokenizeResponse(prompt=await call.until_left(call.service.detokenize(asked, call.timeout_s)))


def _tokenize_request(body: TokenizeRequest, call: ModelCall) -> engine.TokenizeRequest:
    """Raises ``InvalidRequest``."""
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequest("exactly one of prompt and messages", field="prompt")
    if body.messages is None:
        special = body.add_special_tokens is not False
        return engine.TokenizeRequest(unique_id(call.request_id), body.prompt or "", special)
    if body.add_special_tokens is not None:
        raise InvalidRequest("only together with prompt: a template writes its own", field="add_special_tokens")
    if sum(len(turn.text or "") for turn in body.messages) > MAX_CHARACTERS:
        raise InvalidRequest(f"at most {MAX_CHARACTERS} characters", field="messages")
    conversation = to_generation_request(body, chat_messages(body.messages), call.config, call.request_id, None)
    return engine.TokenizeRequest(conversation.id, special=True, conversation=conversation)
