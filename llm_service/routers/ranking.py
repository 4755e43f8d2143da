"""Documents ranked against a query: ``/v1/rerank`` as Cohere and Jina have it, ``/rerank`` as TEI has it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field, RootModel

from engines.errors import GenerationFailed
from routers.calls import Call, ModelCall, check_count, json_response
from routers.error_docs import of_a_model
from routers.openai.embeddings import ReadUsage
from routers.openai.fields import ModelName, OnlyNeutral
from routers.openai.models import check_model
from schemas.common import WHOLE, RequestModel, Text, WireModel, example
from services.errors import InvalidRequest
from services.results import RankingResult

router = APIRouter(tags=["Ranking"])

Query = Annotated[Text, Field(min_length=1, description="What is asked")]
Documents = Annotated[list[Text], Field(min_length=1)]
Count = Annotated[int, Field(ge=1), WHOLE]


def _texts(value: Any) -> Any:
    """Take the text of documents that are objects, as Cohere and Jina allow."""
    if not isinstance(value, list):
        return value
    return [item["text"] if isinstance(item, dict) and "text" in item else item for item in value]


class TextDocument(RequestModel):
    """A document as an object."""

    text: Text


TextDocuments = Annotated[list[Text | TextDocument], Field(min_length=1)]
AnyDocuments = Annotated[Documents, BeforeValidator(_texts, json_schema_input_type=TextDocuments)]


class RerankRequest(RequestModel):
    """Documents to rank, as Cohere, Jina and vLLM have it."""

    model_config = example(model="default", query="Where is Lima?", documents=["Lima is in Peru.", "Bread is baked."])

    model: ModelName = Field(default="default", description="As in /v1/models, or default")
    query: Query
    documents: AnyDocuments = Field(description="Texts, or objects with a text")
    top_n: Count | None = Field(default=None, description="Results at most; default all")
    return_documents: bool = Field(default=False, description="Repeat each document in its result")
    max_tokens_per_doc: Annotated[Any, OnlyNeutral()] = None
    max_chunks_per_doc: Annotated[Any, OnlyNeutral()] = None
    rank_fields: Annotated[Any, OnlyNeutral(["text"])] = None
    user: Text | None = None


class RankedDocument(WireModel):
    """A document of the request."""

    text: str


class RerankResult(WireModel):
    """A document's place in the request, and its score."""

    index: int
    relevance_score: float
    document: RankedDocument | None = Field(default=None, description="Only with return_documents")
    truncated: bool = Field(description="Whether query and document were longer than the model reads")


class RerankResponse(WireModel):
    """The best documents first."""

    id: str
    object: Literal["list"]
    model: str
    results: list[RerankResult]
    usage: ReadUsage


class TeiRerankRequest(RequestModel):
    """Texts to rank, as Hugging Face's text-embeddings-inference has it."""

    model_config = example(query="Where is Lima?", texts=["Lima is in Peru.", "Bread is baked."])

    query: Query
    texts: Documents
    raw_scores: bool = Field(default=False, description="Scores before the model's activation function")
    return_text: bool = Field(default=False, description="Repeat each text in its result")
    truncate: bool | None = Field(default=None, description="false: a text that is too long is refused")
    truncation_direction: Annotated[Any, OnlyNeutral("Right", "right")] = None


class TeiRank(WireModel):
    """A text's place in the request, and its score."""

    index: int
    score: float
    text: str | None = Field(default=None, description="Only with return_text")


class TeiRanks(RootModel[list[TeiRank]]):
    """The best texts first."""


@router.post(
    "/v1/rerank",
    response_model=RerankResponse,
    responses=of_a_model("The documents, the best first", 501, openai=True),
    summary="Rank documents against a query",
)
async def rerank(body: RerankRequest, call: Call) -> Response:
    """Score each document by how well it answers the query; compatible with Cohere's and Jina's rerank."""
    check_model(call.service, "reranker", body.model)
    headers = call.headers(body)
    result, order = await _ranked(call, body.query, body.documents, "documents")
    tokens = sum(result.tokens)
    results = [
        {
            "index": index,
            "relevance_score": float(result.scores[index]),
            "truncated": result.truncated[index],
            **({"document": {"text": body.documents[index]}} if body.return_documents else {}),
        }
        for index in order[: body.top_n]
    ]
    content = {
        "id": f"rerank-{call.request_id}",
        "object": "list",
        "model": result.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return json_response(content, headers)


@router.post(
    "/rerank",
    response_model=TeiRanks,
    responses=of_a_model("The texts, the best first", 501),
    summary="Rank texts against a query, as text-embeddings-inference has it",
)
async def tei_rerank(body: TeiRerankRequest, call: Call) -> Response:
    """Score each text by how well it answers the query; compatible with text-embeddings-inference."""
    headers = call.headers(body)
    result, order = await _ranked(call, body.query, body.texts, "texts", raw=body.raw_scores)
    if body.truncate is False and any(result.truncated):
        first = result.truncated.index(True)
        raise InvalidRequest("longer than the model's context, with the query", field=f"texts.{first}")
    ranks = [
        {
            "index": index,
            "score": float(result.scores[index]),
            **({"text": body.texts[index]} if body.return_text else {}),
        }
        for index in order
    ]
    return json_response(ranks, headers)


async def _ranked(
    call: ModelCall, query: str, documents: Sequence[str], field: str, *, raw: bool = False
) -> tuple[RankingResult, list[int]]:
    """Return the scores, and indices by falling score, equal ones in the order of the request."""
    check_count(call, documents, field)
    work = call.service.rank(query, tuple(documents), raw=raw, request_id=call.request_id, timeout_s=call.timeout_s)
    result = await call.until_left(work)
    call.record.read(result)
    if not np.isfinite(result.scores).all():
        raise GenerationFailed("the model gave a score that is not finite")
    return result, [int(index) for index in np.argsort(-result.scores, kind="stable")]
