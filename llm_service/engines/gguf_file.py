"""A GGUF file where OpenVINO can open it."""

import logging
import shutil
import uuid
from pathlib import Path

logger = logging.getLogger(__name__)


def openable(path: Path, fingerprint: str, cache_dir: Path | None) -> Path:
    """Return ``path``, or a copy in ``cache_dir`` when this process may not write to it.

    OpenVINO opens a GGUF file for writing, although it only reads it: one in a read-only image, or one that belongs
    to root, it cannot open. The copy is made once; ``fingerprint`` tells models apart. Raises ``OSError``.
    """
    if path.suffix != ".gguf" or cache_dir is None or _may_write(path):
        return path
    copy = cache_dir / f"{fingerprint}-{path.name}"
    if not copy.exists():
        logger.info("OpenVINO cannot open %s where it may not write to it: copying it, once", path.name)
        cache_dir.mkdir(parents=True, exist_ok=True)
        # Not by process id: containers that share the folder may have the same ones.
        partial = cache_dir / f"{copy.name}.{uuid.uuid4().hex}.partial"
        try:
            shutil.copyfile(path, partial)
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)
    return copy


def _may_write(path: Path) -> bool:
    try:
        with path.open("r+b"):
            return True
    except OSError:
        return False
