"""Wire models of ``/v1/embeddings``."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from routers.openai.fields import ModelName
from schemas.common import RequestModel, Text, WireModel
from schemas.embedding import INPUT_TYPE, Dimensions, EncodingFormat, InputType, OutputDtype

SEND_TEXT = (
    "token ids belong to another model's tokenizer; send text "
    "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False))"
)


def _texts_not_tokens(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
        raise PydanticCustomError("token_ids", "{message}", {"message": SEND_TEXT})
    return value


InputText = Annotated[Text, Field(min_length=1)]
InputTexts = Annotated[list[InputText], Field(min_length=1)]


class EmbeddingsRequest(RequestModel):
    """Texts to turn into vectors."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "default", "input": ["Hola mundo", "Buenos días"]}]}
    )

    model: ModelName = Field(description="As in /v1/models, or default")
    input: Annotated[InputTexts, BeforeValidator(_texts_not_tokens, json_schema_input_type=InputText | InputTexts)] = (
        Field(description="A text or a list of texts; token ids are refused")
    )
    encoding_format: EncodingFormat = Field(default="float", description="base64: each vector as bytes of its type")
    dimensions: Dimensions | None = Field(default=None, description="Refused unless it is the model's own")
    output_dtype: OutputDtype = Field(default="float32", description="As in /api/llm/embed")
    input_type: InputType | None = Field(default=None, description=INPUT_TYPE)
    user: Text | None = None


class Embedding(WireModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    truncated: bool = Field(description="Whether the text was longer than the model reads")
    scale: float | None = Field(default=None, description="int8 and uint8: what a step of the numbers is worth")


class EmbeddingUsage(WireModel):
    """Token counts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(WireModel):
    """Vectors in the order of the texts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "list",
                    "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.0, 0.8], "truncated": False}],
                    "model": "sentence-transformers/all-MiniLM-L6-v2",
                    "usage": {"prompt_tokens": 4, "total_tokens": 4},
                    "fingerprint": "23202422d3773d12",
                }
            ]
        }
    )

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    fingerprint: str = Field(description="Vectors of different fingerprints cannot be compared")
