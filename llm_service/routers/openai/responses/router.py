"""``/v1/responses``."""

from fastapi import APIRouter, Response

from engines.errors import ServiceError
from routers.calls import Call
from routers.error_docs import of_a_model
from routers.openai.models import check_model
from routers.openai.responses.output import ResponseAnswer
from routers.openai.responses.schemas import ResponseBody, ResponsesRequest
from routers.openai.responses.translation import renamed, to_generation

STREAM_EXAMPLE = (
    'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "delta": "Lima.", …}\n\n'
    'event: response.completed\ndata: {"type": "response.completed", "response": {…}, …}\n\n'
)

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/responses",
    response_model=ResponseBody,
    responses=of_a_model(
        "The response; with stream, server-sent events up to one that says how it ended",
        openai=True,
        stream=STREAM_EXAMPLE,
    ),
    summary="Answer a conversation, as items",
)
async def responses(body: ResponsesRequest, call: Call) -> Response:
    """Continue the conversation in ``input``; compatible with OpenAI's responses, but nothing is stored."""
    check_model(call.service, "generator", body.model)
    headers = call.headers(body)
    try:
        asked = to_generation(body, call.config, call.request_id)
        return await call.respond([asked], headers, ResponseAnswer(body, asked, call.service.model_name))
    except ServiceError as error:
        raise renamed(error) from None
