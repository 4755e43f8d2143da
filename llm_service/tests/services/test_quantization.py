import numpy as np
import numpy.typing as npt
import pytest

from engines.events import FloatMatrix
from services.quantization import UINT8_ZERO_POINT, Codes, Scales, quantize

HALF = 0.5001
"""Half a step, and what float32 rounds away."""


def vectors_of(count: int, dimension: int = 384, seed: int = 3) -> FloatMatrix:
    drawn: npt.NDArray[np.float32] = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return drawn


def unit(vectors: FloatMatrix) -> FloatMatrix:
    scaled: FloatMatrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def restored(codes: FloatMatrix | Codes, scales: Scales | None, zero_point: int = 0) -> npt.NDArray[np.float64]:
    assert scales is not None
    return (codes.astype(np.float64) - zero_point) * scales[:, np.newaxis].astype(np.float64)


@pytest.mark.parametrize("length", [1.0, 1e-6, 37.5, 1e30])
def test_int8_and_its_scale_give_every_number_back_within_half_a_step(length: float) -> None:
    vectors = unit(vectors_of(50)) * np.float32(length)
    codes, scales = quantize(vectors, "int8")
    assert codes.dtype == np.int8
    assert scales is not None
    assert (np.abs(restored(codes, scales) - vectors) <= HALF * scales[:, np.newaxis]).all()


def test_every_vector_uses_the_whole_range_and_never_the_lowest_number() -> None:
    vectors = vectors_of(200)
    codes = quantize(vectors, "int8")[0].astype(int)
    assert (np.abs(codes).max(axis=1) == 127).all()
    assert codes.min() == -127
    assert np.array_equal(codes, -quantize(-vectors, "int8")[0].astype(int))


def test_uint8_is_int8_with_128_for_zero() -> None:
    vectors = vectors_of(20)
    (int8, scales), (uint8, others) = quantize(vectors, "int8"), quantize(vectors, "uint8")
    assert uint8.dtype == np.uint8
    assert np.array_equal(restored(uint8, others, UINT8_ZERO_POINT), restored(int8, scales))


def test_what_a_vector_becomes_does_not_depend_on_its_neighbours() -> None:
    vectors = vectors_of(5) * np.array([[1], [1000], [1e-3], [7], [1]], dtype=np.float32)
    alone = np.concatenate([quantize(row[np.newaxis], "int8")[0] for row in vectors])
    assert np.array_equal(quantize(vectors, "int8")[0], alone)


@pytest.mark.parametrize("number", [0.0, -0.0, 1e-45, -1e-45, 1e-40, 3.4e38, -3.4e38])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "binary"])
def test_extreme_numbers_overflow_nothing(number: float, dtype: str) -> None:
    vectors = np.full((1, 16), number, dtype=np.float32)
    codes, scales = quantize(vectors, dtype)  # type: ignore[arg-type]
    if scales is not None:
        assert np.isfinite(scales).all()
        back = restored(codes, scales, UINT8_ZERO_POINT if dtype == "uint8" else 0)
        np.testing.assert_allclose(back, vectors, rtol=1e-6, atol=1e-43)


def test_the_first_dimension_is_the_highest_bit_and_zero_is_no_bit() -> None:
    vectors = np.array([[0.1, -0.1, 0.0, -0.0, -1, -1, -1, 2, 5, -5]], dtype=np.float32)
    assert quantize(vectors, "binary")[1] is None
    assert quantize(vectors, "binary")[0].tolist() == [[0b10000001, 0b10000000]]


def test_float32_stays_as_it_is_in_rows_that_lie_one_after_the_other() -> None:
    vectors = vectors_of(8)[::2]
    values, scales = quantize(vectors, "float32")
    assert np.array_equal(values, vectors)
    assert (values.flags.c_contiguous, scales) == (True, None)
