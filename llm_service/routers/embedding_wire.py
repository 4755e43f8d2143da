"""Between the wire models of embeddings and the service's own types."""

import base64
from typing import Any

import numpy as np
import orjson

from schemas.embedding import EmbedRequest
from services.results import EmbeddingResult


def embedding_body(body: EmbedRequest, result: EmbeddingResult) -> bytes:
    """Return the response to ``body`` as JSON."""
    vectors: Any = result.vectors
    if body.encoding_format == "base64":
        vectors = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in result.vectors]
    payload = {
        "embeddings": vectors,
        "dim": result.vectors.shape[1],
        "count": len(result.vectors),
        "model": result.model,
        "fingerprint": result.fingerprint,
        "tokens": result.tokens,
        "truncated": result.truncated,
        "dtype": np.dtype(result.vectors.dtype).name,
    }
    return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
