"""What a GGUF file's header says about its model, read without loading it.

The ``gguf`` package reads the whole vocabulary into Python objects to get at any field: seconds and a hundred
megabytes for 150,000 words. This reads the same header (GGUF specification, versions 2 and 3) and steps over it.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

DEFAULT_CONTEXT = 2048
"""Tokens of context where the files state none."""
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_UINT32, _STRING, _ARRAY, _UINT64 = 4, 8, 9, 10
_MAX_FIELDS = 1_000_000
_LONGEST_LIST = 1024
"""Longer arrays are vocabulary; shorter ones hold a value for each layer."""


class GGUFError(ValueError):
    """The file is not a GGUF file that can be read."""


@dataclass(frozen=True, slots=True)
class GGUFMetadata:
    """``context_length`` in tokens; ``kv_elements_per_token`` counts numbers over all layers (an upper bound for
    models with sliding windows or compressed keys); ``chat_template`` is Jinja text.
    """

    architecture: str
    context_length: int
    kv_elements_per_token: int
    chat_template: str | None = None
    licence: str | None = None


def read_gguf_metadata(path: Path) -> GGUFMetadata:
    """Read the header of ``path``; raises ``GGUFError`` when it is not one, ``OSError`` when it cannot be opened."""
    with _opened(path) as file:
        return _to_metadata(_read_fields(file))


def read_gguf_arrays(path: Path, names: frozenset[str]) -> dict[str, list[Any]]:
    """Read these array fields of the header, whatever their length; raises as ``read_gguf_metadata``."""
    with _opened(path) as file:
        fields = _read_fields(file, names)
    return {name: value for name, value in fields.items() if name in names and isinstance(value, list)}


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        try:
            yield file
        except (struct.error, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise GGUFError(f"{path.name} is not a readable GGUF file") from error


def _to_metadata(fields: dict[str, Any]) -> GGUFMetadata:
    architecture = str(fields.get("general.architecture", "unknown"))

    def field(name: str, default: Any) -> Any:
        value = fields.get(f"{architecture}.{name}")
        return default if value is None else value

    heads = field("attention.head_count", 1)
    layers = int(field("block_count", 1))
    kv_heads = field("attention.head_count_kv", heads)
    heads_in_all = sum(kv_heads) if isinstance(kv_heads, list) else layers * int(kv_heads)
    widest = max(heads) if isinstance(heads, list) else int(heads)
    key_size = int(field("attention.key_length", int(field("embedding_length", 0)) // max(1, widest)))
    return GGUFMetadata(
        architecture=architecture,
        context_length=int(field("context_length", DEFAULT_CONTEXT)),
        kv_elements_per_token=heads_in_all * (key_size + int(field("attention.value_length", key_size))),
        chat_template=fields.get("tokenizer.chat_template") or None,
        licence=fields.get("general.license") or None,
    )


def _read_fields(file: BinaryIO, arrays: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Read the fields; of long arrays only the named ones."""
    magic, version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3) or count > _MAX_FIELDS:
        raise GGUFError("not a GGUF file of version 2 or 3")
    fields = {}
    for _ in range(count):
        key = _read_string(file)
        kind = _read_scalar(file, _UINT32)
        fields[key] = _read_array(file, whole=key in arrays) if kind == _ARRAY else _read_value(file, kind)
    return fields


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


def _read_value(file: BinaryIO, kind: int) -> Any:
    return _read_string(file) if kind == _STRING else _read_scalar(file, kind)


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
