"""Wire models of ``/api/llm/embed``."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.common import WHOLE, RequestModel, Text, WireModel

OutputDtype = Literal["float32", "int8", "uint8", "binary"]
EncodingFormat = Literal["float", "base64"]
InputType = Literal["query", "document"]
INPUT_TYPE = (
    "What the texts are in a search: models with a prompt for it put it before each text. Queries and documents have "
    "the same fingerprint, which differs from that of texts without a type where the model has such prompts"
)
Dimensions = Annotated[int, Field(ge=1), WHOLE]


class EmbedRequest(RequestModel):
    """Texts to turn into vectors."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["Hola mundo", "Buenos días"]}]})

    # An empty list is valid here and rejected by the router, since its status is 400 instead of 422.
    texts: list[Text] = Field(
        description="Texts, in the order in which their vectors are wanted", json_schema_extra={"minItems": 1}
    )
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
    normalize: bool = Field(
        default=True,
        description="Scale every vector to length 1. Without it, the fingerprint is another one",
    )
    input_type: InputType | None = Field(default=None, description=INPUT_TYPE)
    dimensions: Dimensions | None = Field(
        default=None,
        description="Refused unless it is the model's own dimension: its vectors cannot be shortened",
    )


EncodedVector = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
Int8 = Annotated[int, Field(ge=-127, le=127)]
Uint8 = Annotated[int, Field(ge=1, le=255)]
Byte = Annotated[int, Field(ge=0, le=255)]
Vectors = Field(description="A list of numbers for each text, or a base64 string, as encoding_format says")
Scales = Field(description="For each vector, what a step of its numbers is worth: value * scale is the float32 number")
ShiftedScales = Field(description="For each vector: (value - 128) * scale is the float32 number")


class _Embeddings(WireModel):
    dim: int = Field(description="Dimensions of the model, whatever the dtype")
    count: int
    model: str
    fingerprint: str = Field(description="Vectors of different fingerprints cannot be compared")
    tokens: list[int] = Field(description="Tokens read of each text")
    truncated: list[bool] = Field(description="Whether a text was longer than the model reads")


class Float32Embeddings(_Embeddings):
    """Vectors in the order of the texts, ``dim`` numbers each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dim": 3,
                    "count": 1,
                    "model": "sentence-transformers/all-MiniLM-L6-v2",
                    "fingerprint": "23202422d3773d12",
                    "tokens": [4],
                    "truncated": [False],
                    "dtype": "float32",
                    "embeddings": [[0.6, 0.0, 0.8]],
                }
            ]
        }
    )

    dtype: Literal["float32"]
    embeddings: list[list[float]] | list[EncodedVector] = Vectors


class Int8Embeddings(_Embeddings):
    """Vectors in the order of the texts, ``dim`` numbers from -127 to 127 each."""

    dtype: Literal["int8"]
    embeddings: list[list[Int8]] | list[EncodedVector] = Vectors
    scales: list[float] = Scales


class Uint8Embeddings(_Embeddings):
    """Vectors in the order of the texts, ``dim`` numbers from 1 to 255 each; 128 stands for 0."""

    dtype: Literal["uint8"]
    embeddings: list[list[Uint8]] | list[EncodedVector] = Vectors
    scales: list[float] = ShiftedScales


class BinaryEmbeddings(_Embeddings):
    """Vectors in the order of the texts, ``dim`` bits each, packed into ``dim / 8`` bytes."""

    dtype: Literal["binary"]
    embeddings: list[list[Byte]] | list[EncodedVector] = Vectors


EmbedResponse = Annotated[
    Float32Embeddings | Int8Embeddings | Uint8Embeddings | BinaryEmbeddings, Field(discriminator="dtype")
]
