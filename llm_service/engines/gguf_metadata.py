"""What a GGUF file says about its model, read without loading it.

The ``gguf`` package reads the whole vocabulary into Python objects to get at any field: seconds
and a hundred megabytes for a 150,000-word vocabulary, in a process that must stay small. This
reads the same header (GGUF specification, versions 2 and 3) and steps over the arrays.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC = b"GGUF"
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_FIELDS = 1_000_000
_MAX_DIMENSIONS = 8
TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
}  # fmt: skip


class GGUFError(ValueError):
    """The file is not a GGUF file that can be read."""


@dataclass(frozen=True, slots=True)
class GGUFMetadata:
    """The fields that serving needs. Lengths in tokens; ``tensor_types`` are GGUF's names and
    ``parameters`` the numbers in all tensors together; ``chat_template`` is its Jinja text.
    """

    architecture: str
    context_length: int
    layers: int
    kv_heads: int
    head_size: int
    tensor_types: frozenset[str]
    parameters: int = 0
    chat_template: str | None = None
    licence: str | None = None

    @property
    def kv_elements_per_token(self) -> int:
        """Numbers that the KV cache holds for one token."""
        return 2 * self.layers * self.kv_heads * self.head_size


def read_gguf_metadata(path: Path) -> GGUFMetadata:
    """Read the header of ``path``; raises ``GGUFError`` when it is not one."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except (struct.error, UnicodeDecodeError, MemoryError) as error:
        raise GGUFError(f"{path.name} is not a readable GGUF file") from error


def _read(file: BinaryIO) -> GGUFMetadata:
    if file.read(4) != _MAGIC:
        raise GGUFError("this is not a GGUF file")
    version, tensor_count, field_count = struct.unpack("<IQQ", file.read(20))
    if version not in (2, 3) or tensor_count > _MAX_FIELDS or field_count > _MAX_FIELDS:
        raise GGUFError(f"GGUF version {version} is not supported")
    fields: dict[str, Any] = {}
    for _ in range(field_count):
        key = _read_string(file)
        (kind,) = struct.unpack("<I", file.read(4))
        fields[key] = _read_value(file, kind)
    return _to_metadata(fields, [_read_tensor(file) for _ in range(tensor_count)])


def _to_metadata(fields: dict[str, Any], tensors: list[tuple[str, int]]) -> GGUFMetadata:
    architecture = str(fields.get("general.architecture", "unknown"))

    def number(name: str, default: int) -> int:
        value = fields.get(f"{architecture}.{name}", default)
        return int(value) if isinstance(value, int | float) else default

    def text(name: str) -> str | None:
        value = fields.get(name)
        return value if isinstance(value, str) and value else None

    heads = number("attention.head_count", 1)
    return GGUFMetadata(
        architecture=architecture,
        context_length=number("context_length", 2048),
        layers=number("block_count", 1),
        kv_heads=number("attention.head_count_kv", heads),
        head_size=number("attention.key_length", number("embedding_length", heads) // max(heads, 1)),
        tensor_types=frozenset(kind for kind, _ in tensors),
        parameters=sum(elements for _, elements in tensors),
        chat_template=text("tokenizer.chat_template"),
        licence=text("general.license"),
    )


def _read_string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    data = file.read(length)
    if len(data) != length:
        raise GGUFError("the file ends inside its header")
    return data.decode("utf-8", errors="replace")


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _read_string(file)
    if kind != _ARRAY:
        return _read_scalar(file, kind)
    item_kind, count = struct.unpack("<IQ", file.read(12))
    if item_kind == _STRING:
        for _ in range(count):
            (length,) = struct.unpack("<Q", file.read(8))
            file.seek(length, 1)
    else:
        file.seek(count * struct.calcsize(_scalar_format(item_kind)), 1)
    return None


def _read_scalar(file: BinaryIO, kind: int) -> Any:
    layout = _scalar_format(kind)
    (value,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return value


def _scalar_format(kind: int) -> str:
    try:
        return _SCALARS[kind]
    except KeyError:
        raise GGUFError(f"unknown GGUF value type {kind}") from None


def _read_tensor(file: BinaryIO) -> tuple[str, int]:
    """Read one tensor's type and how many numbers it holds."""
    _read_string(file)
    (dimensions,) = struct.unpack("<I", file.read(4))
    if dimensions > _MAX_DIMENSIONS:
        raise GGUFError(f"a tensor of {dimensions} dimensions is not supported")
    shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
    kind, _offset = struct.unpack("<IQ", file.read(12))
    return TENSOR_TYPES.get(kind, f"type {kind}"), math.prod(shape)
