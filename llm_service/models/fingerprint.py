"""Fingerprint of a generator or reranker: equal fingerprints mean interchangeable answers."""

import hashlib
from pathlib import Path

SCHEME = b"generator-v1"
HEX_DIGITS = 16
WHOLE_BYTES = 16 * 1024**2
"""Files up to this size are read whole: configuration, tokenizer, chat template, small weights."""
HEAD_BYTES = 8 * 1024**2
"""The beginning of a larger file that is read: a GGUF file keeps its vocabulary and chat template there."""
SAMPLE_BYTES = 64 * 1024
SAMPLES = 32
DOCUMENTATION = frozenset({".md", ".png", ".jpg", ".gif", ".pdf"})


def model_fingerprint(path: Path) -> str:
    """Return 16 hexadecimal digits for a model's folder or ``.gguf`` file, in a fraction of a second.

    They are the beginning of a sha256 over the name and size of every file (documentation, hidden
    files and subfolders left out), the whole of those up to 16 MiB, and of larger ones the first
    8 MiB and 32 samples of 64 KiB evenly spread up to the end.

    Another model, another quantisation, a fine-tune, another template or tokenizer give another
    fingerprint. It does not prove that weights are intact: a change of a few bytes between the
    samples of a large file, size unchanged, goes unnoticed. The device, the number format and the
    engine's version are not part of it. Raises ``OSError`` when a file cannot be read.
    """
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if _counts(file))
    digest = hashlib.sha256(SCHEME)
    for file in files:
        size = file.stat().st_size
        name = file.name.encode("utf-8", "surrogateescape")
        digest.update(b"%d:%b%d:" % (len(name), name, size))
        _add_content(digest, file, size)
    return digest.hexdigest()[:HEX_DIGITS]


def _counts(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() not in DOCUMENTATION


def _add_content(digest: "hashlib._Hash", file: Path, size: int) -> None:
    with file.open("rb") as content:
        if size <= WHOLE_BYTES:
            digest.update(content.read())
            return
        digest.update(content.read(HEAD_BYTES))
        last = size - SAMPLE_BYTES
        for number in range(SAMPLES):
            content.seek(HEAD_BYTES + (last - HEAD_BYTES) * number // (SAMPLES - 1))
            digest.update(content.read(SAMPLE_BYTES))
