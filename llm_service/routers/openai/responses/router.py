"""``/v1/responses``."""

from functools import partial

from fastapi import APIRouter
from fastapi import Response as HttpResponse

from routers.answering import AnswersHere
from routers.cache_control import CACHE_HEADER_DOC
from routers.error_docs import openai_responses
from routers.openai.models.names import chat_model
from routers.openai.responses.request import ResponsesRequest
from routers.openai.responses.response import ResponseBody
from routers.openai.responses.stream import response_events
from routers.openai.responses.translation import Response, renamed, to_generation
from routers.unknown_fields import HEADER_DOC, ignored_fields
from services.errors import ServiceError

STREAM_EXAMPLE = (
    'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "delta": "Lima.", …}\n\n'
    'event: response.completed\ndata: {"type": "response.completed", "response": {…}, …}\n\n'
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/responses",
    response_model=ResponseBody,
    responses={
        200: {
            "content": {"text/event-stream": {"example": STREAM_EXAMPLE}},
            "headers": CACHE_HEADER_DOC | HEADER_DOC,
            "description": "The response; with stream, server-sent events up to one that says how it ended",
        },
        **openai_responses(400, 401, 404, 405, 413, 500, 503, 504),
    },
    summary="Answer a conversation, as items",
)
async def responses(body: ResponsesRequest, here: AnswersHere) -> HttpResponse:
    """Continue the conversation in ``input``; compatible with OpenAI's responses, but nothing is stored."""
    model = chat_model(here.service, here.config)
    model.check(body.model)
    headers = ignored_fields(body, here.config)
    try:
        asked = to_generation(body, here.config, here.request_id)
        response = Response(body, asked, model.id)
        return await here.respond([asked], headers, body=response.whole, events=partial(response_events, response))
    except ServiceError as error:
        raise renamed(error) from None
