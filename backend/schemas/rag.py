"""Wire models of ``/api/rag/query`` and ``/api/rag/search``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from adapters.ports.documents import SearchHit
from adapters.ports.models import ServedBy
from schemas.texts import FilledText, Text
from schemas.wire import Reply, Wire, with_examples

MAX_QUERY_CHARS = 2_000
MAX_TOP_K = 50


def _without_fraction(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Query = Annotated[FilledText, Field(max_length=MAX_QUERY_CHARS)]

# 5.0 is an integer in JSON.
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, strict=True), BeforeValidator(_without_fraction)]


class HistoryMessage(Wire):
    """An earlier turn of the conversation, as sent by the client."""

    role: Literal["user", "assistant"]
    content: Annotated[Text, Field(max_length=8_000)]


class QueryRequest(Wire):
    """A question to the mentor."""

    model_config = with_examples({"query": "¿Cómo se dice perro en bora?"})

    query: Query = Field(description="In Spanish; used for the search and for the model")
    top_k: TopK | None = Field(default=None, description="Documents to answer from at most; default RAG_TOP_K")
    history: Annotated[list[HistoryMessage], Field(max_length=50)] = Field(
        default=[],
        description="Earlier turns, oldest first. The last 6, up to 500 characters of each, make follow-ups such as "
        "«¿y perro?» whole; nothing in them is taken for true",
    )
    stream: bool = Field(default=False, description="Answer as server-sent events")
    explain: bool = Field(default=False, description="Also ask a model for an explanation of the entries")
    draft: bool = Field(
        default=False, description="With stream: also send a model's text while it is generated, before it is checked"
    )


class QueryResponse(Reply):
    """The mentor's answer; timings in milliseconds."""

    model_config = with_examples(
        {
            "answer": 'En bora, "perro" se dice "oohííbye".',
            "answer_mode": "extractive",
            "explanation": None,
            "sources": [
                {
                    "id": "es-bora-perro",
                    "kind": "dictionary",
                    "content": "perro: oohííbye",
                    "score": 1.0,
                    "matched_on": ["lemma"],
                    "metadata": {"lemma": "perro", "gloss": "oohííbye", "direction": "es_bora"},
                    "role": "answer",
                }
            ],
            "missing": [],
            "says_more": False,
            "served_by": "dictionary",
            "degraded": False,
            "reason": None,
            "model": "none",
            "timings": {"retrieval_ms": 5.2, "total_ms": 5.4},
            "request_id": "27b427597d5047b994d25cc1718e1ec9",
        }
    )

    answer: str
    answer_mode: Literal["generated", "completed", "extractive"]
    explanation: str | None = Field(description="Where one was requested and the sources support it")
    sources: list[SearchHit]
    missing: list[str] = Field(description="Words of the question that are not in the dictionary")
    says_more: bool = Field(description="Whether an extractive answer says more than its entries, as a verdict does")
    served_by: ServedBy = Field(description="dictionary: the entries themselves, without a model")
    degraded: bool
    reason: str | None = Field(description="Why no model worded the answer, or why the search was by words only")
    model: str
    timings: dict[str, float]
    request_id: str


class SourcesEvent(Reply):
    """First event of a stream: the sources of the answer."""

    sources: list[SearchHit]


class TextEvent(Reply):
    """Event of a stream with ``draft``: the next part of the model's text, not yet checked."""

    delta: str


class AnswerEvent(Reply):
    """Event of a stream: the final text of the answer."""

    answer: str


class ExplanationEvent(Reply):
    """Event of a stream with ``explain``: the checked explanation."""

    explanation: str


class SearchResponse(Reply):
    """The matching documents, best first."""

    results: list[SearchHit]
    took_ms: float
