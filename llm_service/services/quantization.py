"""Quantization of float32 vectors. Each vector is quantized by itself, without calibration, so the
result for a text does not depend on the other texts of its request.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.base import FloatMatrix
from schemas.embedding import OutputDtype

INT8_MAX = 127
"""Symmetric range: -128 is unused, so that opposite vectors have opposite codes."""
UINT8_ZERO_POINT = 128
"""The uint8 code of 0."""

Codes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]
ByteMatrix = npt.NDArray[np.uint8]
Scales = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantized:
    """Quantized vectors.

    ``values`` is C-contiguous, of shape (texts, dimension), or (texts, bytes) for packed bits, with eight
    dimensions per byte. ``scales``, of shape (texts,), is set for int8 and uint8:
    ``(value - zero point) * scale`` restores the float32 number with an error of at most half a scale.
    """

    values: FloatMatrix | Codes
    scales: Scales | None = None


def quantize(vectors: FloatMatrix, output_dtype: OutputDtype) -> Quantized:
    """Quantize ``vectors``, finite float32 of shape (texts, dimension)."""
    if output_dtype == "float32":
        return Quantized(np.ascontiguousarray(vectors))
    if output_dtype == "binary":
        return Quantized(pack_signs(vectors))
    codes, scales = _int8(vectors)
    if output_dtype == "int8":
        return Quantized(codes, scales)
    # Flipping the highest bit adds 128 modulo 256.
    return Quantized(codes.view(np.uint8) ^ np.uint8(UINT8_ZERO_POINT), scales)


def pack_signs(vectors: FloatMatrix) -> ByteMatrix:
    """Return one bit per number, 1 if it is above 0; the first dimension is the highest bit of the first
    byte. Same format as ``ubinary`` of sentence-transformers and ``binary_quantize`` of pgvector. Pads a
    dimension that is not a multiple of 8 with zero bits.
    """
    return np.packbits(vectors > 0, axis=1, bitorder="big")


def _int8(vectors: FloatMatrix) -> tuple[npt.NDArray[np.int8], Scales]:
    """Scale each vector so that its largest number becomes ±127. Every vector uses the whole range, and
    scaling keeps its direction, so the cosine of codes approximates that of the vectors
    (docs/embedding-compression.md compares alternatives).
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # Divide first: the inverse of a very small number would overflow. A vector of zeros stays zero.
    shares = vectors / np.where(largest > 0, largest, np.float32(1))
    shares *= INT8_MAX
    codes = np.rint(shares, out=shares).astype(np.int8)
    return codes, largest[:, 0] / np.float32(INT8_MAX)
