"""``/v1/chat/completions``."""

from functools import partial

from fastapi import APIRouter, Response

from routers.answering import AnswersHere
from routers.cache_control import CACHE_HEADER_DOC
from routers.error_docs import openai_responses
from routers.openai.chat.request import ChatCompletionRequest
from routers.openai.chat.response import ChatCompletion
from routers.openai.chat.stream import completion_events
from routers.openai.chat.translation import Completion, completion_body, to_generation_requests
from routers.openai.models.names import chat_model
from routers.unknown_fields import HEADER_DOC, ignored_fields

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
            "headers": CACHE_HEADER_DOC | HEADER_DOC,
            "description": "The answer; with stream, server-sent events that each hold a chunk, then [DONE]",
        },
        **openai_responses(400, 401, 404, 405, 413, 500, 503, 504),
    },
    summary="Answer a conversation",
)
async def chat_completions(body: ChatCompletionRequest, here: AnswersHere) -> Response:
    """Continue the conversation in ``messages``; compatible with OpenAI's chat completions.

    With ``stream: true`` the answer is sent as chunks, then ``[DONE]``; a failed stream ends with an
    event that contains an ``error``, without ``[DONE]``.
    """
    model = chat_model(here.service, here.config)
    model.check(body.model)
    headers = ignored_fields(body, here.config)
    requests = to_generation_requests(body, here.config, here.request_id)
    completion = Completion(model.id, here.system_fingerprint)
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    return await here.respond(
        requests,
        headers,
        body=partial(completion_body, completion),
        events=partial(completion_events, completion=completion, include_usage=include_usage),
    )
