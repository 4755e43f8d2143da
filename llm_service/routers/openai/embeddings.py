"""``/v1/embeddings``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field

from routers.calls import Call, json_response
from routers.error_docs import of_a_model
from routers.openai.fields import ModelName, texts_not_tokens
from routers.openai.models import check_model
from routers.wire.embedding import embed_texts, wire_vectors
from schemas.common import Text, WireModel, example
from schemas.embedding import VectorFields
from services.results import EmbeddingResult

router = APIRouter(prefix="/v1", tags=["OpenAI"])

InputText = Annotated[Text, Field(min_length=1)]
InputTexts = Annotated[list[InputText], Field(min_length=1)]


class EmbeddingsRequest(VectorFields):
    """Texts to turn into vectors."""

    model_config = example(model="default", input=["Hola mundo", "Buenos días"])

    model: ModelName = Field(description="As in /v1/models, or default")
    input: Annotated[InputTexts, BeforeValidator(texts_not_tokens, json_schema_input_type=InputText | InputTexts)] = (
        Field(description="A text or a list of texts; token ids are refused")
    )
    user: Text | None = None


class Embedding(WireModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    truncated: bool = Field(description="Whether the text was longer than the model reads")
    scale: float | None = Field(default=None, description="int8 and uint8: value of one step of the numbers")


class ReadUsage(WireModel):
    """Token counts of texts that are only read; a query is read with every document."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(WireModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: ReadUsage
    fingerprint: str = Field(description="Vectors of different fingerprints cannot be compared")


@router.post(
    "/embeddings",
    response_model=EmbeddingList,
    responses=of_a_model("The vectors, in the order of the texts", openai=True),
    summary="Turn texts into vectors",
)
async def embeddings(body: EmbeddingsRequest, call: Call) -> Response:
    """Return one vector of length 1 per text, in order; compatible with OpenAI's embeddings."""
    check_model(call.service, "embedder", body.model)
    headers = call.headers(body)
    result = await embed_texts(call, body, body.input, "input")
    return json_response(_body(body, result), headers)


def _body(body: EmbeddingsRequest, result: EmbeddingResult) -> dict[str, Any]:
    values, scales = wire_vectors(result.vectors, body.output_dtype, body.encoding_format)
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": value, "truncated": result.truncated[index]}
        for index, value in enumerate(values)
    ]
    if scales is not None:
        for item, scale in zip(data, scales, strict=True):
            item["scale"] = scale
    tokens = sum(result.tokens)
    return {
        "object": "list",
        "data": data,
        "model": result.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "fingerprint": result.fingerprint,
    }
