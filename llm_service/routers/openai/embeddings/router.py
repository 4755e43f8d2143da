"""``/v1/embeddings``."""

from functools import partial

from fastapi import APIRouter, Request, Response
from service_kit.disconnect import until_disconnect

from observability.tracing_genai import embedded
from routers.cache_control import Caching
from routers.dependencies import Config, Record, Service, Timeout
from routers.error_docs import openai_responses
from routers.openai.embeddings.schemas import EmbeddingList, EmbeddingsRequest
from routers.openai.embeddings.translation import embeddings_body
from routers.openai.errors import bad_parameter
from routers.openai.models.names import embedding_model
from routers.unknown_fields import ignored_fields

router = APIRouter(prefix="/v1", tags=["OpenAI"])


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
    """Return one vector of length 1 per text, in order; compatible with OpenAI's embeddings."""
    embedding_model(service, config).check(body.model)
    headers = ignored_fields(body, config)
    if len(body.input) > config.embed_max_texts:
        raise bad_parameter("input", f"at most {config.embed_max_texts} texts in one request")
    work = partial(
        service.embed,
        tuple(body.input),
        input_type=body.input_type,
        request_id=str(request.state.request_id),
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        use_cache=caching.use_cache,
    )
    result = await until_disconnect(request, embedded(work, service))
    record.embedded(result)
    return Response(embeddings_body(body, result), media_type="application/json", headers=headers)
