"""The embedded model's OpenVINO copy: where none can be made the GGUF file is served."""

import logging
import os
from pathlib import Path

import pytest

from models.artifacts import ModelArtifact
from models.openvino_copy import VERSION, as_openvino

NAME = f"model-openvino-{VERSION}"


@pytest.fixture
def artifact(tmp_path: Path) -> ModelArtifact:
    (tmp_path / "model.gguf").write_bytes(b"GGUF and nothing that can be read")
    return ModelArtifact(tmp_path / "model.gguf", "gguf", "model", "embedded", repack=True)


def test_a_conversion_that_fails_leaves_the_gguf_file_and_no_draft(
    artifact: ModelArtifact, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    (cache / f"{NAME}.draft").mkdir(parents=True)  # left by a process that was killed
    with caplog.at_level(logging.WARNING):
        served = as_openvino(artifact, cache)
    assert (served.path, served.backend) == (artifact.path, "llamacpp")
    assert [file.suffix for file in cache.iterdir()] == [".lock"]
    assert "no OpenVINO copy could be made" in caplog.text


def test_a_cache_that_cannot_be_written_leaves_the_gguf_file(artifact: ModelArtifact, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert as_openvino(artifact, tmp_path / "cache").backend == "llamacpp"


def test_a_copy_that_is_there_is_taken_as_it_is(artifact: ModelArtifact, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / name).touch()
    artifact.path.write_bytes(os.urandom(8))
    served = as_openvino(artifact, tmp_path)
    assert (served.path, served.format, served.backend) == (folder, "openvino", "openvino")
