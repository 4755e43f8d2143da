"""Wire models of ``/api/rag``."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from schemas.wire import Reply, Wire

MAX_QUERY_CHARS = 2_000
MAX_ID_CHARS = 200
MAX_STORED_ID_CHARS = 4_000
"""Of ids that other programs or earlier versions stored: Postgres's index takes no longer ones."""
ADDRESSABLE = re.compile(
    r"^(?!(?:.*/)?\.{1,2}(?:/|$))[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*[^\s\u0000-\u001f\u007f-\u009f\u2028\u2029]"
    r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
)
"""Ids that fit into a path, so that a stored document can be deleted."""
MAX_TOP_K = 50
MAX_TIMEOUT_MS = 86_400_000
_NO_NULL_CHARACTER = r"^[^\u0000]*$"
# `\s` of JSON Schema (ECMAScript) lacks the separators U+001C to U+001F and U+0085, which are blank in Python.
_NOT_BLANK = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


def _check_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a null character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains an unpaired surrogate") from error
    return value


def _check_not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


def _check_addressable(value: str) -> str:
    if not ADDRESSABLE.fullmatch(value):
        raise ValueError("holds a control character, or is a path such as '..'")
    return value


def _without_fraction(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, AfterValidator(_check_text), Field(json_schema_extra={"pattern": _NO_NULL_CHARACTER})]
FilledText = Annotated[
    str, AfterValidator(_check_text), AfterValidator(_check_not_blank), Field(json_schema_extra={"pattern": _NOT_BLANK})
]
DocumentId = Annotated[
    str,
    AfterValidator(_check_text),
    AfterValidator(_check_not_blank),
    AfterValidator(_check_addressable),
    Field(max_length=MAX_ID_CHARS, json_schema_extra={"pattern": ADDRESSABLE.pattern}),
]
Query = Annotated[FilledText, Field(max_length=MAX_QUERY_CHARS)]
Prefix = Annotated[Text, Field(max_length=100)]
Letter = Annotated[Text, Field(max_length=2)]
Cursor = Annotated[Text, Field(max_length=3_000)]
# 5.0 is an integer in JSON.
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, strict=True), BeforeValidator(_without_fraction)]


class HistoryMessage(Wire):
    """An earlier turn of the conversation, as sent by the client."""

    role: Literal["user", "assistant"]
    content: Annotated[Text, Field(max_length=8_000)]


class QueryRequest(Wire):
    """A question to the mentor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "¿Cómo se dice perro en bora?"}]})

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


class Source(Reply):
    """A matching document and what it matched on, strongest first."""

    id: str
    kind: str
    content: str
    score: float
    matched_on: list[str]
    metadata: dict[str, Any]
    spans: list[tuple[int, int]] = Field(
        default=[],
        description="Of a text: start and end, in content, of the sentences that support the answer",
    )
    role: Literal["answer", "nearest", "other"] = Field(
        default="other",
        description="answer: a basis of the answer; nearest: a close entry, as none matches; other: the rest",
    )


class QueryResponse(Reply):
    """The mentor's answer; timings in milliseconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
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
            ]
        }
    )

    answer: str
    answer_mode: Literal["generated", "completed", "extractive"]
    explanation: str | None = Field(description="Where one was requested and the sources support it")
    sources: list[Source]
    missing: list[str] = Field(description="What was asked for and is not in the dictionary")
    says_more: bool = Field(description="Whether an extractive answer says more than its entries, as a verdict does")
    served_by: Literal["llm_service", "local", "dictionary", "none"] = Field(
        description="dictionary: the entries themselves, without a model"
    )
    degraded: bool
    reason: str | None = Field(description="Why no model worded the answer, or why the search was by words only")
    model: str
    timings: dict[str, float]
    request_id: str


class SourcesEvent(Reply):
    """First event of a stream: the sources of the answer."""

    sources: list[Source]


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

    results: list[Source]
    took_ms: float


class SuggestedWord(Reply):
    """A word, its meaning in the other language, and the id of the entry."""

    id: str
    word: str
    language: Literal["es", "boa"]
    meaning: str


class SuggestResponse(Reply):
    """Words that begin with what was typed."""

    suggestions: list[SuggestedWord]


class ListedWord(Reply):
    """A word, its meaning in the other language, its part of speech, and the id of the entry."""

    id: str
    word: str
    meaning: str
    pos: str


class LetterCount(Reply):
    """A letter and how many words begin with it; ``#``: no letter of the alphabet."""

    letter: str
    words: int


class EntriesResponse(Reply):
    """One page of the words of a language, in alphabetical order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "language": "boa",
                    "words": [{"id": "entry-5f0c", "word": "llihíyo", "meaning": "papá", "pos": "masculino"}],
                    "letters": [{"letter": "l", "words": 1}, {"letter": "ll", "words": 3}],
                    "next": "WyJib3JhX2VzIiwgIlJJIiwgImxsaWjDrXlvIiwgImVudHJ5LTVmMGMiXQ",
                }
            ]
        }
    )

    language: Literal["es", "boa"]
    words: list[ListedWord]
    letters: list[LetterCount] = Field(description="Of all words that contain q, those of other letters too")
    next: str | None = Field(description="The `after` of the next page; null: this is the last")


class StoredDocument(Reply):
    """A document of the dictionary as it is stored."""

    id: str
    kind: str
    content: str
    metadata: dict[str, Any]


class EntryResponse(Reply):
    """An entry, with what belongs to it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entry": {
                        "id": "entry-5f0c",
                        "kind": "dictionary",
                        "content": "papá (m.): llihíyo",
                        "metadata": {"lemma": "papá", "gloss": "llihíyo", "pos": "m.", "direction": "es_bora"},
                    },
                    "letter": "p",
                    "examples": [],
                    "subentries": [],
                }
            ]
        }
    )

    entry: StoredDocument
    letter: str | None = Field(description="Under which its lemma is listed; null: it is in no list")
    examples: list[StoredDocument]
    subentries: list[StoredDocument]


class DocumentIn(Wire):
    """A document to store under its id."""

    id: DocumentId
    kind: Literal["dictionary", "phrase", "text"]
    content: Annotated[FilledText, Field(max_length=100_000)]
    metadata: dict[str, Any] = Field(
        default={},
        description="Of dictionary documents: lemma, gloss, pos, direction, parent_lemma; of others anything",
    )


class DocumentsRequest(Wire):
    """Documents to store; existing ones with the same id are replaced."""

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
                        },
                        {"id": "casa-2", "kind": "text", "content": "La casa se techa con hojas.", "metadata": {}},
                    ]
                }
            ]
        }
    )

    documents: Annotated[list[DocumentIn], Field(min_length=1, max_length=1_000)]


class DocumentsResponse(Reply):
    """Result of storing documents."""

    inserted: int
    updated: int
    unchanged: int
    pending_embeddings: int = Field(
        description="Upper bound of the documents still without a vector; vectors are computed in the background"
    )


class DeleteResponse(Reply):
    """The deleted document."""

    id: str
    deleted: bool


class StatsResponse(Reply):
    """Counts of the documents."""

    documents: int
    by_kind: dict[str, int]
    by_direction: dict[str, int]
    embedding_fingerprint: str | None
    pending_embeddings: int
    entries: int = Field(description="Dictionary documents that are not example sentences")
