"""Translation between the wire models of embeddings and the service's types; encodes vectors for both APIs."""

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
"""Fingerprint suffix of vectors that are not scaled to length 1."""


@dataclass(frozen=True, slots=True)
class WireVectors:
    """Vectors in the encoding of a response.

    ``values`` is serialisable by ``orjson`` with ``OPT_SERIALIZE_NUMPY``: a matrix with one row of numbers
    per text, or a list with one base64 string per text. ``scales``: one number per int8 or uint8 vector.
    """

    values: FloatMatrix | Codes | list[str]
    scales: Scales | None


def wire_vectors(
    vectors: FloatMatrix, output_dtype: OutputDtype = "float32", encoding_format: EncodingFormat = "float"
) -> WireVectors:
    """Return ``vectors``, float32 of shape (texts, dimension), in the requested type and encoding.

    Raises ``GenerationFailed`` if a value is infinite or NaN.
    """
    if not np.isfinite(vectors).all():
        raise GenerationFailed("the model gave a vector with numbers that are not finite")
    quantized = quantize(vectors, output_dtype)
    if encoding_format == "float":
        return WireVectors(quantized.values, quantized.scales)
    rows = quantized.values.astype(quantized.values.dtype.newbyteorder("<"), copy=False)
    return WireVectors([b2a_base64(row, newline=False).decode("ascii") for row in rows], quantized.scales)


def wire_fingerprint(fingerprint: str, *, normalized: bool) -> str:
    """Return the fingerprint of an answer's vectors. ``fingerprint`` is the embedder's, which applies to
    vectors of length 1.
    """
    return fingerprint if normalized else fingerprint + UNNORMALISED


def check_dimensions(requested: int | None, dimension: int, model: str) -> None:
    """Raise ``RequestValidationError`` if the requested dimension differs from the model's."""
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
