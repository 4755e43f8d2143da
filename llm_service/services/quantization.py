"""Quantization of float32 vectors. Each vector is quantized by itself, without calibration, so the
result for a text does not depend on the other texts of its request.
"""

import numpy as np
import numpy.typing as npt

from engines.events import FloatMatrix
from schemas.embedding import OutputDtype

INT8_MAX = 127
"""Symmetric range: -128 is unused, so that opposite vectors have opposite codes."""
UINT8_ZERO_POINT = 128
"""The uint8 code of 0."""

Codes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]
ByteMatrix = npt.NDArray[np.uint8]
Scales = npt.NDArray[np.float32]


def quantize(vectors: FloatMatrix, output_dtype: OutputDtype) -> tuple[FloatMatrix | Codes, Scales | None]:
    """Quantize ``vectors``, finite float32 of shape (texts, dimension).

    Returns C-contiguous values of the same shape, or (texts, bytes) for packed bits, with eight dimensions per byte;
    and for int8 and uint8 the scale of each vector, shape (texts,): ``(value - zero point) * scale`` restores the
    float32 number with an error of at most half a scale.
    """
    if output_dtype == "float32":
        return np.ascontiguousarray(vectors), None
    if output_dtype == "binary":
        return pack_signs(vectors), None
    codes, scales = _int8(vectors)
    if output_dtype == "int8":
        return codes, scales
    # Flipping the highest bit adds 128 modulo 256.
    return codes.view(np.uint8) ^ np.uint8(UINT8_ZERO_POINT), scales


def pack_signs(vectors: FloatMatrix) -> ByteMatrix:
    """Return one bit per number, 1 if it is above 0; the first dimension is the highest bit of the first
    byte. Same format as ``ubinary`` of sentence-transformers and ``binary_quantize`` of pgvector. Pads a
    dimension that is not a multiple of 8 with zero bits.
    """
    return np.packbits(vectors > 0, axis=1, bitorder="big")


def _int8(vectors: FloatMatrix) -> tuple[npt.NDArray[np.int8], Scales]:
    """Scale each vector so that its largest number becomes ±127. Every vector uses the whole range, and
    scaling keeps its direction, so the cosine of codes approximates that of the vectors
    (docs/decisions/0010-a-scale-for-every-vector.md compares alternatives).
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # Divide first: the inverse of a very small number would overflow. A vector of zeros stays zero.
    shares = vectors / np.where(largest > 0, largest, np.float32(1))
    shares *= INT8_MAX
    codes = np.rint(shares, out=shares).astype(np.int8)
    return codes, largest[:, 0] / np.float32(INT8_MAX)
