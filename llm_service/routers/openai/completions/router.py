"""``/v1/completions``."""

from functools import partial

from fastapi import APIRouter, Response

from routers.answering import AnswersHere
from routers.cache_control import CACHE_HEADER_DOC
from routers.error_docs import openai_responses
from routers.openai.completions.schemas import CompletionBody, CompletionRequest
from routers.openai.completions.translation import Completion, events, to_generation_requests
from routers.openai.models.names import chat_model
from routers.unknown_fields import HEADER_DOC, ignored_fields

STREAM_EXAMPLE = (
    'data: {"object": "text_completion", "choices": [{"index": 0, "text": " Lima.", …}], …}\n\ndata: [DONE]\n\n'
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/completions",
    response_model=CompletionBody,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "headers": CACHE_HEADER_DOC | HEADER_DOC,
            "description": "The answers; with stream, server-sent events that each hold a piece, then [DONE]",
        },
        **openai_responses(400, 401, 404, 405, 413, 500, 503, 504),
    },
    summary="Continue a text",
)
async def completions(body: CompletionRequest, here: AnswersHere) -> Response:
    """Continue each prompt as it is, without the model's chat template; compatible with OpenAI's completions."""
    model = chat_model(here.service, here.config)
    model.check(body.model)
    headers = ignored_fields(body, here.config)
    asked = to_generation_requests(body, here.config, here.request_id)
    completion = Completion(body, model.id, here.system_fingerprint)
    return await here.respond(asked, headers, body=completion.whole, events=partial(events, completion))
