"""Embedding for both APIs, and vectors in the type and encoding of a response."""

from binascii import b2a_base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from engines.errors import GenerationFailed
from engines.events import FloatMatrix
from observability.tracing_genai import embedded
from routers.calls import ModelCall, check_count
from schemas.embedding import EmbedRequest, EncodingFormat, OutputDtype, VectorFields
from services.errors import InvalidRequest
from services.quantization import Codes, Scales, quantize
from services.results import EmbeddingResult

UNNORMALISED = "-raw"
"""Fingerprint suffix of vectors that are not scaled to length 1."""


async def embed_texts(
    call: ModelCall, body: VectorFields, texts: Sequence[str], field: str, *, normalize: bool = True
) -> EmbeddingResult:
    """Return the vectors of the texts in ``field`` of a request, in order; raises a ``ServiceError`` and
    ``ClientDisconnected``.
    """
    check_count(call, texts, field)
    work = partial(
        call.service.embed,
        tuple(texts),
        normalize=normalize,
        input_type=body.input_type,
        request_id=call.request_id,
        timeout_s=call.timeout_s,
        # Vectors are deterministic: a recomputed one equals the cached one, so ``fresh`` need not store it.
        use_cache=call.use_cache and not call.fresh,
    )
    result = await call.until_left(embedded(work, call.service))
    call.record.read(result)
    dimension = result.vectors.shape[1]
    if body.dimensions not in (None, dimension):
        raise InvalidRequest(
            f"this model's vectors cannot be shortened: {result.model} is not a Matryoshka model. Leave the field out, "
            f"or set it to {dimension}",
            field="dimensions",
        )
    return result


def wire_vectors(
    vectors: FloatMatrix, output_dtype: OutputDtype = "float32", encoding_format: EncodingFormat = "float"
) -> tuple[FloatMatrix | Codes | list[str], Scales | None]:
    """Return ``vectors``, float32 of shape (texts, dimension), in the requested type and encoding: rows of numbers, or
    base64 strings; and the scale of each, for int8 and uint8. Raises ``GenerationFailed`` for infinities and NaN.
    """
    if not np.isfinite(vectors).all():
        raise GenerationFailed("the model gave a vector with numbers that are not finite")
    values, scales = quantize(vectors, output_dtype)
    if encoding_format == "float":
        return values, scales
    rows = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return [b2a_base64(row, newline=False).decode("ascii") for row in rows], scales


def embedding_body(body: EmbedRequest, result: EmbeddingResult) -> dict[str, Any]:
    """Return the response to ``body``."""
    values, scales = wire_vectors(result.vectors, body.output_dtype, body.encoding_format)
    return {
        "embeddings": values,
        "dim": result.vectors.shape[1],
        "count": len(result.vectors),
        "model": result.model,
        "fingerprint": result.fingerprint + ("" if body.normalize else UNNORMALISED),
        "tokens": result.tokens,
        "truncated": result.truncated,
        "dtype": body.output_dtype,
        **({} if scales is None else {"scales": scales}),
    }
