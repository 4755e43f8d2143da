"""Between the wire models of embeddings and the service's own types; both APIs encode vectors here."""

from binascii import b2a_base64
from dataclasses import dataclass

import numpy as np
import orjson
from fastapi.exceptions import RequestValidationError

from engines.base import FloatMatrix
from schemas.embedding import EmbedRequest, EncodingFormat, OutputDtype
from services.errors import GenerationFailed
from services.quantization import Codes, Scales, quantize
from services.results import EmbeddingResult

UNNORMALISED = "-raw"
"""What the fingerprint of vectors that were not scaled to length 1 ends with."""


@dataclass(frozen=True, slots=True)
class WireVectors:
    """Vectors as a response holds them.

    ``values`` can be given to ``orjson`` with ``OPT_SERIALIZE_NUMPY``: a matrix with a row of numbers,
    or a list with a base64 string, for each text. ``scales``: a number for each int8 or uint8 vector.
    """

    values: FloatMatrix | Codes | list[str]
    scales: Scales | None


def wire_vectors(
    vectors: FloatMatrix, output_dtype: OutputDtype = "float32", encoding_format: EncodingFormat = "float"
) -> WireVectors:
    """Return ``vectors``, float32 of shape (texts, dimension), in the type and encoding asked for.

    Raises ``GenerationFailed`` when a number is infinite or not a number.
    """
    if not np.isfinite(vectors).all():
        raise GenerationFailed("the model gave a vector with numbers that are not finite")
    quantized = quantize(vectors, output_dtype)
    if encoding_format == "float":
        return WireVectors(quantized.values, quantized.scales)
    rows = quantized.values.astype(quantized.values.dtype.newbyteorder("<"), copy=False)
    return WireVectors([b2a_base64(row, newline=False).decode("ascii") for row in rows], quantized.scales)


def wire_fingerprint(fingerprint: str, *, normalized: bool) -> str:
    """Return what an answer's vectors carry. ``fingerprint`` is the embedder's own, which stands for
    vectors of length 1.
    """
    return fingerprint if normalized else fingerprint + UNNORMALISED


def check_dimensions(requested: int | None, dimension: int, model: str) -> None:
    """Raise ``RequestValidationError`` when vectors of another length than the model's are asked for."""
    if requested is None or requested == dimension:
        return
    reason = f"this model's vectors cannot be shortened: {model} is not a Matryoshka model"
    message = f"{reason}. Leave the field out, or set it to {dimension}"
    error = {"type": "dimensions", "loc": ("body", "dimensions"), "msg": message, "input": requested}
    raise RequestValidationError([error])


def embedding_body(body: EmbedRequest, result: EmbeddingResult) -> bytes:
    """Return the response to ``body`` as JSON."""
    dimension = result.vectors.shape[1]
    check_dimensions(body.dimensions, dimension, result.model)
    vectors = wire_vectors(result.vectors, body.output_dtype, body.encoding_format)
    payload = {
        "embeddings": vectors.values,
        "dim": dimension,
        "count": len(result.vectors),
        "model": result.model,
        "fingerprint": wire_fingerprint(result.fingerprint, normalized=body.normalize),
        "tokens": result.tokens,
        "truncated": result.truncated,
        "dtype": body.output_dtype,
    }
    if vectors.scales is not None:
        payload["scales"] = vectors.scales
    return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
