"""What travels over ``/api/rag``."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_QUERY_CHARS = 2_000
MAX_TOP_K = 50


def _check_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a null character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half a character (lone surrogate)") from error
    return value


def _check_not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


Text = Annotated[str, AfterValidator(_check_text)]
Query = Annotated[Text, Field(max_length=MAX_QUERY_CHARS), AfterValidator(_check_not_blank)]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, strict=True)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class HistoryMessage(_Wire):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[Text, Field(max_length=8_000)]


class QueryRequest(_Wire):
    """A question to the mentor."""

    query: Query
    top_k: TopK | None = None
    history: Annotated[list[HistoryMessage], Field(max_length=50)] = []
    stream: Annotated[bool, Field(strict=True)] = False


class Source(_Wire):
    """A document that an answer rests on."""

    id: str
    kind: str
    content: str
    score: float
    metadata: dict[str, Any]


class QueryResponse(_Wire):
    """The mentor's answer; timings in milliseconds."""

    answer: str
    answer_mode: Literal["generated", "completed", "extractive"]
    sources: list[Source]
    served_by: Literal["llm_service", "local", "none"]
    degraded: bool
    model: str
    timings: dict[str, float]
    request_id: str


class SearchResult(Source):
    """A document that was found, and on what."""

    matched_on: list[str]


class SearchResponse(_Wire):
    """What was found, best first."""

    results: list[SearchResult]
    took_ms: float


class DocumentIn(_Wire):
    """A document to store under its id."""

    id: Annotated[Text, AfterValidator(_check_not_blank)]
    kind: Literal["dictionary", "phrase", "text"]
    content: Annotated[Text, AfterValidator(_check_not_blank)]
    metadata: dict[str, Any] = {}


class DocumentsRequest(_Wire):
    """Documents to store; those already there under the same id are replaced."""

    documents: Annotated[list[DocumentIn], Field(min_length=1, max_length=1_000)]


class DocumentsResponse(_Wire):
    """What was stored. Vectors of new texts follow in the background."""

    inserted: int
    updated: int
    unchanged: int
    pending_embeddings: int


class DeleteResponse(_Wire):
    """The document that is gone."""

    id: str
    deleted: bool


class StatsResponse(_Wire):
    """Counts of the documents."""

    documents: int
    by_kind: dict[str, int]
    by_direction: dict[str, int]
    embedding_fingerprint: str | None
    pending_embeddings: int
