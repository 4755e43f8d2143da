"""Translation of loading errors of transformers and related libraries into messages for users."""

import struct
from pathlib import Path

from safetensors import SafetensorError

LOADING_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    MemoryError,
    SafetensorError,
    struct.error,
)
"""Exceptions of readers of damaged files; the libraries promise no narrower classes."""


def loading_advice(library: str, name: str, path: Path, error: Exception) -> str:
    """Return which model could not be loaded and why, without the path of its files."""
    lines = str(error).strip().splitlines() or [""]
    cause = lines[0].replace(str(path), path.name).replace(str(path.parent), "")[:200]
    return (
        f"{library} could not load {name} ({type(error).__name__}: {cause}). Check that the files are complete "
        f"and that {library} knows this kind of model"
    )
