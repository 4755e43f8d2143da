"""A GGUF file that may only be read, as in an image or in root's folder."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from engines.gguf_file import openable
from engines.models import ModelArtifact
from engines.openvino_generator import OpenVinoGenerator
from tests.engines.driving import chat, generate

NOBODY = 65534
needs_posix_rights = pytest.mark.skipif(sys.platform == "win32", reason="rights are other ones there")


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """Root may write whatever it likes; a service doesn't run as root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="gguf-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def cache(folder: Path) -> Path:
    made = folder / "cache"
    made.mkdir()
    made.chmod(0o777)
    return made


def read_only(folder: Path, content: bytes = b"GGUF") -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    path.chmod(0o444)
    return path


def test_a_file_that_may_be_written_to_is_used_where_it_lies(folder: Path, cache: Path) -> None:
    path = folder / "model.gguf"
    path.write_bytes(b"GGUF")
    assert openable(path, "0123", cache) == path
    assert list(cache.iterdir()) == []


def test_one_that_may_only_be_read_is_copied_once(folder: Path, cache: Path) -> None:
    path = read_only(folder)
    with without_roots_rights():
        copy = openable(path, "0123", cache)
        before = copy.stat().st_mtime_ns
        assert openable(path, "0123", cache) == copy
    assert copy.read_bytes() == b"GGUF"
    assert copy.stat().st_mtime_ns == before
    assert list(cache.iterdir()) == [copy]


def test_another_model_under_the_same_name_has_a_copy_of_its_own(folder: Path, cache: Path) -> None:
    path = read_only(folder)
    with without_roots_rights():
        assert openable(path, "0123", cache) != openable(path, "4567", cache)


@needs_posix_rights
def test_a_copy_that_fails_leaves_nothing_behind(folder: Path, cache: Path) -> None:
    path = read_only(folder)
    cache.chmod(0o555)
    with without_roots_rights(), pytest.raises(OSError, match="denied"):
        openable(path, "0123", cache)
    assert list(cache.iterdir()) == []


@pytest.mark.model
@needs_posix_rights
def test_openvino_cannot_open_such_a_file_and_answers_from_its_copy(
    folder: Path, cache: Path, language_model_file: Path
) -> None:
    path = folder / "model.gguf"
    shutil.copyfile(language_model_file, path)
    path.chmod(0o444)
    artifact = ModelArtifact(path, "gguf", "SmolLM2-135M-Instruct", "embedded")
    with without_roots_rights():
        with pytest.raises(ModelLoadError):
            OpenVinoGenerator(artifact, max_batch=1)
        engine = OpenVinoGenerator(artifact, max_batch=1, cache_dir=cache)
    assert generate(engine, chat("one", "Say hello.", max_new_tokens=4)).completion_tokens > 0
    engine.close()
