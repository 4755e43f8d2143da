"""The header of a GGUF file, read without loading its model.

The ``gguf`` package reads the whole vocabulary into Python objects before any field is available: seconds and a hundred
megabytes for 150,000 words. This reads the same header (GGUF specification, versions 2 and 3) and steps over it.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_UINT32, _STRING, _ARRAY, _UINT64 = 4, 8, 9, 10
_MAX_FIELDS = 1_000_000
_LONGEST_LIST = 1024
"""Longer arrays are vocabulary; shorter ones hold a value for each layer."""


class GGUFError(ValueError):
    """The file is not a GGUF file that can be read."""


def read_gguf_header(path: Path, arrays: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields by name; of long arrays only the named ones, ``None`` for the others. Raises ``GGUFError`` when
    the file is not one, ``OSError`` when it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            magic, version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3) or count > _MAX_FIELDS:
                raise GGUFError("not a GGUF file of version 2 or 3")
            return dict(_read_field(file, arrays) for _ in range(count))
        except (struct.error, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise GGUFError(f"{path.name} is not a readable GGUF file") from error


def _read_field(file: BinaryIO, arrays: frozenset[str]) -> tuple[str, Any]:
    key = _read_string(file)
    kind = _read_scalar(file, _UINT32)
    if kind == _ARRAY:
        return key, _read_array(file, whole=key in arrays)
    return key, _read_string(file) if kind == _STRING else _read_scalar(file, kind)


def _read_array(file: BinaryIO, *, whole: bool) -> list[Any] | None:
    kind, count = _read_scalar(file, _UINT32), _read_scalar(file, _UINT64)
    if kind == _STRING:
        if whole:
            return [_read_string(file) for _ in range(count)]
        for _ in range(count):
            file.seek(_read_scalar(file, _UINT64), 1)
        return None
    layout = f"<{count}{_SCALARS[kind]}"
    if whole or count <= _LONGEST_LIST:
        return list(struct.unpack(layout, file.read(struct.calcsize(layout))))
    file.seek(struct.calcsize(layout), 1)
    return None


def _read_string(file: BinaryIO) -> str:
    length = _read_scalar(file, _UINT64)
    data = file.read(length)
    if len(data) != length:
        raise GGUFError("the file ends inside its header")
    return data.decode("utf-8", errors="replace")


def _read_scalar(file: BinaryIO, kind: int) -> Any:
    layout = f"<{_SCALARS[kind]}"
    (value,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return value
