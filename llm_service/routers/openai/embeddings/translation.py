"""Translation between OpenAI's embeddings and the service's types."""

import orjson

from routers.embedding_wire import check_dimensions, wire_fingerprint, wire_vectors
from routers.openai.embeddings.schemas import EmbeddingsRequest
from services.results import EmbeddingResult


def embeddings_body(body: EmbeddingsRequest, result: EmbeddingResult) -> bytes:
    """Return the response to ``body`` as JSON; raises an error for unsupported dimensions."""
    check_dimensions(body.dimensions, result.vectors.shape[1], result.model)
    vectors = wire_vectors(result.vectors, body.output_dtype, body.encoding_format)
    data = [
        {"object": "embedding", "index": index, "embedding": values, "truncated": result.truncated[index]}
        for index, values in enumerate(vectors.values)
    ]
    if vectors.scales is not None:
        for item, scale in zip(data, vectors.scales, strict=True):
            item["scale"] = scale
    tokens = sum(result.tokens)
    payload = {
        "object": "list",
        "data": data,
        "model": result.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "fingerprint": wire_fingerprint(result.fingerprint, normalized=True),
    }
    return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
