"""Wire models of ``/v1/rerank`` and ``/rerank``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, RootModel

from routers.openai.fields import ModelName, OnlyNeutral
from schemas.common import WHOLE, RequestModel, Text, WireModel

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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "default", "query": "Where is Lima?", "documents": ["Lima is in Peru.", "Bread is baked."]}
            ]
        }
    )

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


class RerankUsage(WireModel):
    """Token counts; the query is read with every document."""

    prompt_tokens: int
    total_tokens: int


class RerankResponse(WireModel):
    """The best documents first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "rerank-27b427597d5047b994d25cc1718e1ec9",
                    "object": "list",
                    "model": "BAAI/bge-reranker-base",
                    "results": [{"index": 0, "relevance_score": 0.98, "truncated": False}],
                    "usage": {"prompt_tokens": 24, "total_tokens": 24},
                }
            ]
        }
    )

    id: str
    object: Literal["list"]
    model: str
    results: list[RerankResult]
    usage: RerankUsage


class TeiRerankRequest(RequestModel):
    """Texts to rank, as Hugging Face's text-embeddings-inference has it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "Where is Lima?", "texts": ["Lima is in Peru.", "Bread is baked."]}]}
    )

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

    model_config = ConfigDict(json_schema_extra={"examples": [[{"index": 0, "score": 0.98}]]})
