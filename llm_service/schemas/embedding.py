"""Wire models of ``/api/llm/embed``."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.common import WHOLE, RequestModel, Text, WireModel, example

OutputDtype = Literal["float32", "int8", "uint8", "binary"]
EncodingFormat = Literal["float", "base64"]
InputType = Literal["query", "document"]


class VectorFields(RequestModel):
    """What vectors are wanted, on both routes."""

    output_dtype: OutputDtype = Field(
        default="float32",
        description=(
            "Type of the numbers. int8 and uint8 (zero point 128) come with a scale for each vector; binary is one "
            "bit for each dimension, 1 where it is above 0, packed into bytes with the first dimension highest"
        ),
    )
    encoding_format: EncodingFormat = Field(
        default="float",
        description="float: lists of numbers; base64: each vector as the bytes of its type, float32 little-endian",
    )
    input_type: InputType | None = Field(
        default=None,
        description=(
            "What the texts are in a search: models with a prompt for it put it before each text. Queries and "
            "documents have the same fingerprint, which differs from that of texts without a type where the model has "
            "such prompts"
        ),
    )
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None,
        description="Refused unless it is the model's own dimension: its vectors cannot be shortened",
    )


class EmbedRequest(VectorFields):
    """Texts to turn into vectors."""

    model_config = example(texts=["Hola mundo", "Buenos días"])

    # An empty list is valid here and rejected by the router, since its status is 400 instead of 422.
    texts: list[Text] = Field(
        description="Texts, in the order in which their vectors are wanted", json_schema_extra={"minItems": 1}
    )
    normalize: bool = Field(
        default=True,
        description="Scale every vector to length 1. Without it, the fingerprint is another one",
    )


class EmbedResponse(WireModel):
    """Vectors in the order of the texts: ``dim`` numbers each, for ``binary`` ``dim`` bits packed into bytes."""

    dtype: OutputDtype
    embeddings: list[list[float]] | list[str] = Field(
        description="A list of numbers for each text, or a base64 string, as encoding_format says"
    )
    scales: list[float] | None = Field(
        default=None,
        description=(
            "For each vector of int8 or uint8, the value of one step of its numbers: value * scale, for uint8 "
            "(value - 128) * scale, is the float32 number"
        ),
    )
    dim: int = Field(description="Dimensions of the model, for any dtype")
    count: int
    model: str
    fingerprint: str = Field(description="Vectors of different fingerprints cannot be compared")
    tokens: list[int] = Field(description="Tokens read of each text")
    truncated: list[bool] = Field(description="Whether a text was longer than the model reads")
