"""Float32 vectors to fewer bytes. Each vector by itself: nothing is calibrated, so what a text
becomes does not depend on the texts it came with.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.base import FloatMatrix
from schemas.embedding import OutputDtype

INT8_MAX = 127
"""Symmetric: -128 is not used, so that a vector and its opposite have the same numbers."""
UINT8_ZERO_POINT = 128
"""The uint8 that stands for 0."""

Codes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]
ByteMatrix = npt.NDArray[np.uint8]
Scales = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantized:
    """Vectors of another type.

    ``values`` has the shape (texts, dimension); packed bits (texts, bytes), eight dimensions to a
    byte. Its rows lie one after the other in memory. ``scales``, shape (texts,), is there for int8
    and uint8: ``(value - zero point) * scale`` is the float32 number again, off by at most half a
    scale.
    """

    values: FloatMatrix | Codes
    scales: Scales | None = None


def quantize(vectors: FloatMatrix, output_dtype: OutputDtype) -> Quantized:
    """Return ``vectors``, finite float32 of shape (texts, dimension), as another type."""
    if output_dtype == "float32":
        return Quantized(np.ascontiguousarray(vectors))
    if output_dtype == "binary":
        return Quantized(pack_signs(vectors))
    codes, scales = _int8(vectors)
    if output_dtype == "int8":
        return Quantized(codes, scales)
    # Adding 128 modulo 256 is flipping the highest bit.
    return Quantized(codes.view(np.uint8) ^ np.uint8(UINT8_ZERO_POINT), scales)


def pack_signs(vectors: FloatMatrix) -> ByteMatrix:
    """Return one bit for each number, 1 where it is above 0: the first dimension is the highest bit
    of the first byte. That is ``ubinary`` of sentence-transformers and the bit string that pgvector's
    ``binary_quantize`` makes. A dimension that is no multiple of 8 is filled up with zero bits.
    """
    return np.packbits(vectors > 0, axis=1, bitorder="big")


def _int8(vectors: FloatMatrix) -> tuple[npt.NDArray[np.int8], Scales]:
    """Scale each vector so that its largest number becomes ±127. Every vector uses the whole range,
    whatever its length, and its direction stays: the cosine of codes is that of the vectors
    (docs/embedding-compression.md has the schemes this was compared with).
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # Dividing first: the inverse of a very small number would overflow. A vector of zeros stays one.
    shares = vectors / np.where(largest > 0, largest, np.float32(1))
    shares *= INT8_MAX
    codes = np.rint(shares, out=shares).astype(np.int8)
    return codes, largest[:, 0] / np.float32(INT8_MAX)
