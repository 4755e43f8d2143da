"""Wire models of ``/api/llm/embed``."""

from typing import Literal

from pydantic import Field

from schemas.common import Text, WireModel


class EmbedRequest(WireModel):
    """Texts to turn into vectors."""

    texts: list[Text] = Field(description="Texts, in the order in which their vectors are wanted")
    output_dtype: Literal["float32"] = Field(default="float32", description="Type of the numbers")
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: each vector as little-endian bytes of its type"
    )
    normalize: bool = Field(default=True, description="Scale every vector to length 1")


class EmbedResponse(WireModel):
    """Vectors in the order of the texts. Vectors of different fingerprints cannot be compared."""

    embeddings: list[list[float]] | list[str]
    dim: int
    count: int
    model: str
    fingerprint: str
    tokens: list[int] = Field(description="Tokens read of each text")
    truncated: list[bool] = Field(description="Whether a text was longer than the model reads")
    dtype: str
