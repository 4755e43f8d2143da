import numpy as np
import pytest

from engines.errors import GenerationFailed
from routers.wire.embedding import wire_vectors
from schemas.embedding import OutputDtype


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "binary"])
def test_a_number_that_is_none_never_leaves(dtype: OutputDtype, number: float) -> None:
    vectors = np.zeros((3, 384), dtype=np.float32)
    vectors[1, 200] = number
    with pytest.raises(GenerationFailed):
        wire_vectors(vectors, dtype)


def test_float32_is_little_endian_whatever_the_matrix_was() -> None:
    vectors = np.array([[1.5, -2.0]], dtype=">f4")
    assert wire_vectors(vectors, "float32", "base64") == (["AADAPwAAAMA="], None)
