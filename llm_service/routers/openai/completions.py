"""``/v1/completions``: a prompt is continued, without the model's chat template."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field

from engines.events import TextDelta
from engines.requests import ChatMessage
from routers.calls import Call
from routers.error_docs import of_a_model
from routers.openai.completion import Choice, Completion, CompletionFields, check_choices, one_each
from routers.openai.fields import OnlyNeutral, texts_not_tokens
from routers.openai.models import check_model
from routers.wire.generation_request import to_generation_request
from schemas.common import Text, WireModel, example
from schemas.generation import Usage
from services.llm_service import LLMService
from services.results import GenerationItem, GenerationResult

MAX_PROMPTS = 64
CHAT = "Use /v1/chat/completions instead"
STREAM_EXAMPLE = (
    'data: {"object": "text_completion", "choices": [{"index": 0, "text": " Lima.", …}], …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])

Prompt = Annotated[Text, Field(min_length=1)]
Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]


class CompletionRequest(CompletionFields):
    """Prompts to continue."""

    model_config = example(model="default", prompt="The capital of Peru is", max_tokens=8)

    prompt: Annotated[Prompts, BeforeValidator(texts_not_tokens, json_schema_input_type=Prompt | Prompts)] = Field(
        description="A text or a list of texts; control tokens in it are read as such"
    )
    echo: bool | None = Field(default=None, description="Repeat the prompt before the answer")

    best_of: Annotated[Any, OnlyNeutral(1)] = None
    suffix: Annotated[Any, OnlyNeutral("")] = None
    logprobs: Annotated[Any, OnlyNeutral(0, False)] = None  # noqa: FBT003 - values, not switches
    top_logprobs: Annotated[Any, OnlyNeutral(0)] = None
    tools: Annotated[Any, OnlyNeutral([], instead=CHAT)] = None
    tool_choice: Annotated[Any, OnlyNeutral("none", "auto", instead=CHAT)] = None
    enable_thinking: Annotated[Any, OnlyNeutral(False, instead=CHAT)] = None  # noqa: FBT003 - a value, not a switch
    reasoning_effort: Annotated[Any, OnlyNeutral("none", instead=CHAT)] = None
    thinking_budget: Annotated[Any, OnlyNeutral(instead=CHAT)] = None
    chat_template_kwargs: Annotated[Any, OnlyNeutral({}, instead=CHAT)] = None


class CompletionChoice(WireModel):
    """One of the answers, or a piece of it; the last piece has a finish reason."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None


class CompletionBody(WireModel):
    """The answers, or in a stream pieces of them."""

    id: str
    object: Literal["text_completion"]
    created: int = Field(description="Seconds since 1970")
    model: str
    system_fingerprint: str | None
    choices: list[CompletionChoice]
    usage: Usage | None = Field(default=None, description="In a stream only with stream_options.include_usage")


@router.post(
    "/completions",
    response_model=CompletionBody,
    responses=of_a_model(
        "The answers; with stream, server-sent events that each hold a piece, then [DONE]",
        openai=True,
        stream=STREAM_EXAMPLE,
    ),
    summary="Continue a text",
)
async def completions(body: CompletionRequest, call: Call) -> Response:
    """Continue each prompt as it is, without the model's chat template; compatible with OpenAI's completions."""
    check_model(call.service, "generator", body.model)
    headers = call.headers(body)
    check_choices(body, call.config, len(body.prompt))
    asked = []
    for prompt in body.prompt:
        message = ChatMessage("user", prompt)
        request = to_generation_request(body, [message], call.config, call.request_id, body.max_tokens)
        request = replace(request, raw=True, enable_thinking=False)
        asked += one_each(request, body.n or 1, call.request_id)
    return await call.respond(asked, headers, TextAnswer(body, call.service))


class TextAnswer(Completion):
    """Continued texts."""

    kind = piece_kind = "text_completion"
    prefix = "cmpl"

    def __init__(self, body: CompletionRequest, service: LLMService) -> None:
        super().__init__(body, service)
        # Prompts to repeat, by the index of their choice.
        self._echo = [prompt for prompt in body.prompt for _ in range(body.n or 1)] if body.echo else None

    def whole(self, index: int, result: GenerationResult) -> Choice:
        """Return a text, after its prompt where it is repeated."""
        before = self._echo[index] if self._echo else ""
        return _choice(index, before + result.answer, result.finish_reason)

    def first(self, index: int) -> Choice | None:
        """Return the prompt where it is repeated."""
        return _choice(index, self._echo[index]) if self._echo else None

    def piece(self, index: int, item: GenerationItem) -> Choice | None:
        """Return a part of a text, or the finish reason."""
        if isinstance(item, TextDelta):
            return _choice(index, item.text)
        return _choice(index, "", item.finish_reason) if isinstance(item, GenerationResult) else None


def _choice(index: int, text: str, reason: str | None = None) -> Choice:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
