"""What travels over ``/api/rag``."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MAX_QUERY_CHARS = 2_000
MAX_TOP_K = 50
MAX_TIMEOUT_MS = 86_400_000
MAX_ID_CHARS = 200
_NO_NULL_CHARACTER = r"^[^\u0000]*$"
_NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"


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


def _without_fraction(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, AfterValidator(_check_text), Field(json_schema_extra={"pattern": _NO_NULL_CHARACTER})]
FilledText = Annotated[
    str, AfterValidator(_check_text), AfterValidator(_check_not_blank), Field(json_schema_extra={"pattern": _NOT_BLANK})
]
Query = Annotated[FilledText, Field(max_length=MAX_QUERY_CHARS)]
# 5.0 is a whole number in JSON.
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, strict=True), BeforeValidator(_without_fraction)]


class _Wire(BaseModel):
    """Unknown fields are refused, and nothing is converted: the text "5" is no number."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class HistoryMessage(_Wire):
    """An earlier turn of the conversation, as the client tells it."""

    role: Literal["user", "assistant"]
    content: Annotated[Text, Field(max_length=8_000)]


class QueryRequest(_Wire):
    """A question to the mentor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "¿Cómo se dice perro en bora?"}]})

    query: Query = Field(description="In Spanish; what is searched for and what the model is asked")
    top_k: TopK | None = Field(default=None, description="Documents to answer from at most; default RAG_TOP_K")
    history: Annotated[list[HistoryMessage], Field(max_length=50)] = Field(
        default=[],
        description="Earlier turns, oldest first. The last 6, up to 500 characters of each, make follow-ups such as "
        "«¿y perro?» whole; nothing in them is taken for true",
    )
    stream: bool = Field(default=False, description="Answer as server-sent events")


class Source(_Wire):
    """A document that was found, and on what: the strongest reason first."""

    id: str
    kind: str
    content: str
    score: float
    matched_on: list[str]
    metadata: dict[str, Any]


class QueryResponse(_Wire):
    """The mentor's answer; timings in milliseconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answer": 'En bora, "perro" se dice "oohííbye".',
                    "answer_mode": "generated",
                    "sources": [
                        {
                            "id": "es-bora-perro",
                            "kind": "dictionary",
                            "content": "perro: oohííbye",
                            "score": 1.0,
                            "matched_on": ["lemma"],
                            "metadata": {"lemma": "perro", "gloss": "oohííbye", "direction": "es_bora"},
                        }
                    ],
                    "served_by": "llm_service",
                    "degraded": False,
                    "model": "Qwen/Qwen3-1.7B",
                    "timings": {"retrieval_ms": 5.2, "generation_ms": 310.0, "total_ms": 315.2},
                    "request_id": "27b427597d5047b994d25cc1718e1ec9",
                }
            ]
        }
    )

    answer: str
    answer_mode: Literal["generated", "completed", "extractive"]
    sources: list[Source]
    served_by: Literal["llm_service", "local", "none"]
    degraded: bool
    model: str
    timings: dict[str, float]
    request_id: str


class SourcesEvent(_Wire):
    """The first event of a stream: what the answer rests on."""

    sources: list[Source]


class TextEvent(_Wire):
    """An event of a stream: the model's next words, before they are checked."""

    delta: str


class SearchResponse(_Wire):
    """What was found, best first."""

    results: list[Source]
    took_ms: float


class DocumentIn(_Wire):
    """A document to store under its id."""

    id: Annotated[FilledText, Field(max_length=MAX_ID_CHARS)]
    kind: Literal["dictionary", "phrase", "text"]
    content: Annotated[FilledText, Field(max_length=100_000)]
    metadata: dict[str, Any] = Field(
        default={},
        description="Of dictionary documents: lemma, gloss, pos, direction, parent_lemma; of others anything",
    )


class DocumentsRequest(_Wire):
    """Documents to store; those already there under the same id are replaced."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "documents": [
                        {
                            "id": "casa-1",
                            "kind": "dictionary",
                            "content": "jaá: casa",
                            "metadata": {"lemma": "jaá", "gloss": "casa", "direction": "bora_es"},
                        }
                    ]
                }
            ]
        }
    )

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
