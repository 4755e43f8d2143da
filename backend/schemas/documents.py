"""Wire models of ``/api/rag/documents`` and ``/api/rag/stats``."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel

from adapters.ports.store import StoreStats
from schemas.texts import DocumentId, FilledText
from schemas.wire import Reply, Wire, with_examples


class DocumentIn(Wire):
    """A document to store under its id."""

    id: DocumentId
    kind: Literal["dictionary", "phrase", "text"]
    content: Annotated[FilledText, Field(max_length=100_000)]
    metadata: dict[str, Any] = Field(
        default={},
        description="In dictionary documents: lemma, gloss, pos, direction, parent_lemma; in others anything",
    )


class DocumentsRequest(Wire):
    """Documents to store; existing ones with the same id are replaced."""

    model_config = with_examples(
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


class StatsResponse(RootModel[StoreStats]):
    """Counts of the documents."""

    model_config = ConfigDict(use_attribute_docstrings=True)
