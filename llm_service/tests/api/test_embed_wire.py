import numpy as np
import pytest
from fastapi.exceptions import RequestValidationError

from routers.embedding_wire import check_dimensions, embedding_body, wire_vectors
from schemas.embedding import EmbedRequest, OutputDtype
from services.errors import GenerationFailed
from services.results import EmbeddingResult


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "binary"])
def test_a_number_that_is_none_never_leaves(dtype: OutputDtype, number: float) -> None:
    vectors = np.zeros((3, 384), dtype=np.float32)
    vectors[1, 200] = number
    with pytest.raises(GenerationFailed):
        wire_vectors(vectors, dtype)


def test_float32_is_little_endian_whatever_the_matrix_was() -> None:
    vectors = np.array([[1.5, -2.0]], dtype=">f4")
    assert wire_vectors(vectors, "float32", "base64").values == ["AADAPwAAAMA="]


def test_a_matrix_that_is_a_view_can_be_sent() -> None:
    whole = np.random.default_rng(0).standard_normal((8, 32)).astype(np.float32)
    result = EmbeddingResult(whole[::2, ::2], "m", "f", (1,) * 4, (False,) * 4)
    for dtype in ("float32", "int8", "uint8", "binary"):
        for encoding in ("float", "base64"):
            body = EmbedRequest(texts=["a"] * 4, output_dtype=dtype, encoding_format=encoding)
            assert embedding_body(body, result).startswith(b'{"embeddings":[')


def test_only_the_models_own_dimension_is_taken() -> None:
    check_dimensions(None, 384, "m")
    check_dimensions(384, 384, "m")
    for other in (1, 383, 385):
        with pytest.raises(RequestValidationError):
            check_dimensions(other, 384, "m")
