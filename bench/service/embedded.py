"""The embedded language model as the service loads it."""

from pathlib import Path

from bench.harness.services import embedded_gguf
from config.settings import ROOT_DIR
from models.artifacts import ModelArtifact
from models.openvino_copy import as_openvino


def embedded_openvino() -> Path:
    """The folder of its OpenVINO copy, which is made when it is missing."""
    artifact = ModelArtifact(embedded_gguf(), "gguf", "embedded", "embedded", repack=True)
    return as_openvino(artifact, ROOT_DIR / ".data" / "models").path
