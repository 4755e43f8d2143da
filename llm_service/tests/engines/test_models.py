"""Names to files, without a network: a hub that is a dictionary."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import pytest

from engines.base import ModelLoadError
from engines.model_artifacts import Format, folder_format
from engines.model_hub import ModelHub, local_files
from engines.model_listing import RepositoryFile, RepositoryListing
from engines.model_names import HubName
from engines.models import (
    EMBEDDED_EMBEDDER_NAME,
    EMBEDDED_GENERATOR_NAME,
    ResolvedModel,
    resolve_embedder,
    resolve_generator,
)


class FakeHub:
    """A hub with what has been fetched before and what could be fetched."""

    def __init__(self, cached: dict[str, Path] | None = None, remote: dict[str, Path] | None = None) -> None:
        self._cached = cached or {}
        self._remote = remote or {}
        self.reachable = remote is not None

    def cached(self, name: HubName, kind: Format) -> Path | None:
        folder = self._cached.get(name.repo)
        if folder is None or (kind == "gguf" and not (folder / str(name.file)).is_file()):
            return None
        return folder if kind in ("gguf", folder_format(folder)) else None

    def look_up(self, name: HubName, *, newest: bool = False) -> RepositoryListing | None:
        folder = self._remote.get(name.repo)
        return RepositoryListing(name.repo, "0" * 40, tuple(local_files(folder))) if folder else None

    def fetch(self, name: HubName, listing: RepositoryListing, files: Sequence[RepositoryFile]) -> Path:
        return self._remote[name.repo]


def resolve(
    name: str,
    backend: Literal["auto", "openvino", "transformers"] = "auto",
    *,
    hub: FakeHub | None = None,
    cuda: bool = False,
    offline: Literal["embedded", "none"] = "embedded",
) -> ResolvedModel:
    return resolve_generator(name, backend, use_cuda=cuda, offline_model=offline, hub=cast(ModelHub, hub or FakeHub()))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    folder.mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin", "config.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def safetensors(tmp_path: Path) -> Path:
    folder = tmp_path / "safe"
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_text("{}")
    return folder


def gguf_file(path: Path, architecture: str = "llama", tensor_type: int = 2) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    field = text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    tensor = text("blk.0.weight") + struct.pack("<I", 1) + struct.pack("<Q", 32) + struct.pack("<IQ", tensor_type, 0)
    path.write_bytes(header + field + tensor)
    return path


def test_the_embedded_model_is_found_in_its_package() -> None:
    model = resolve("embedded")
    assert model.backend == "openvino"
    assert model.artifact.model == EMBEDDED_GENERATOR_NAME
    assert model.artifact.path.suffix == ".gguf"
    assert not model.artifact.degraded


def test_an_unreachable_hub_is_stood_in_for_and_that_is_said() -> None:
    model = resolve("Qwen/Qwen3-1.7B")
    assert (model.artifact.degraded, model.artifact.requested_model) == (True, "Qwen/Qwen3-1.7B")
    assert model.artifact.model == EMBEDDED_GENERATOR_NAME


def test_an_unreachable_hub_without_stand_in_is_an_error_with_a_way_out() -> None:
    with pytest.raises(ModelLoadError, match="LLM_OFFLINE_MODEL=embedded"):
        resolve("Qwen/Qwen3-1.7B", offline="none")


def test_the_official_export_is_taken_for_openvino(exported: Path) -> None:
    model = resolve("Qwen/Qwen3-1.7B", hub=FakeHub(cached={"OpenVINO/Qwen3-1.7B-int4-ov": exported}))
    assert (model.backend, model.artifact.format, model.artifact.path) == ("openvino", "openvino", exported)
    assert not model.artifact.degraded


def test_a_cached_model_needs_no_hub(safetensors: Path) -> None:
    model = resolve("Qwen/Qwen3-1.7B", hub=FakeHub(cached={"Qwen/Qwen3-1.7B": safetensors}))
    assert (model.backend, model.artifact.format) == ("transformers", "safetensors")


def test_an_export_is_fetched_before_the_original(exported: Path, safetensors: Path) -> None:
    hub = FakeHub(remote={"OpenVINO/Qwen3-1.7B-int4-ov": exported, "Qwen/Qwen3-1.7B": safetensors})
    assert resolve("Qwen/Qwen3-1.7B", hub=hub).backend == "openvino"
    assert resolve("Qwen/Qwen3-1.7B", hub=hub, cuda=True).backend == "transformers"
    assert resolve("Qwen/Qwen3-1.7B", "transformers", hub=hub).artifact.path == safetensors


def test_a_model_without_export_goes_to_transformers(safetensors: Path) -> None:
    assert resolve("someone/model", hub=FakeHub(remote={"someone/model": safetensors})).backend == "transformers"


def test_a_model_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ModelLoadError, match="the hub has no model someone/typo"):
        resolve("someone/typo", hub=FakeHub(remote={}))


def test_a_model_fetched_in_part_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_text("")
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    )
    assert resolve("someone/model", hub=FakeHub(cached={"someone/model": tmp_path})).artifact.degraded


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_folder_is_served_by_the_engine_it_was_made_for(exported: Path, backend: Literal["auto", "openvino"]) -> None:
    assert resolve(str(exported), backend).backend == "openvino"


def test_a_folder_of_the_other_engine_is_an_error_with_a_way_out(exported: Path, safetensors: Path) -> None:
    with pytest.raises(ModelLoadError, match="LLM_BACKEND=openvino"):
        resolve(str(exported), "transformers")
    with pytest.raises(ModelLoadError, match="LLM_BACKEND=transformers"):
        resolve(str(safetensors), "openvino")
    assert resolve(str(safetensors)).backend == "transformers"


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelLoadError, match="pickled weights are not loaded"):
        resolve(str(tmp_path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"there is no file model\.gguf"):
        resolve(str(tmp_path / "model.gguf"))


def test_a_gguf_file_that_openvino_cannot_read_goes_to_transformers(tmp_path: Path) -> None:
    q5 = gguf_file(tmp_path / "q5.gguf", tensor_type=6)
    other = gguf_file(tmp_path / "phi.gguf", architecture="phi3")
    assert resolve(str(gguf_file(tmp_path / "q4.gguf"))).backend == "openvino"
    assert resolve(str(q5)).backend == "transformers"
    assert resolve(str(other)).backend == "transformers"
    with pytest.raises(ModelLoadError, match="Q5_0"):
        resolve(str(q5), "openvino")


def test_a_file_that_is_no_gguf_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fake.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match=r"fake\.gguf"):
        resolve(str(tmp_path / "fake.gguf"))


def test_the_embedding_model_comes_from_its_package() -> None:
    for name in ("embedded", EMBEDDED_EMBEDDER_NAME):
        artifact = resolve_embedder(name, hub=cast(ModelHub, FakeHub()))
        assert artifact.model == EMBEDDED_EMBEDDER_NAME
        assert (artifact.path / "model.safetensors").is_file()
        assert not artifact.degraded


def test_another_embedding_model_is_never_stood_in_for() -> None:
    with pytest.raises(ModelLoadError, match="hub cannot be reached"):
        resolve_embedder("someone/other-embedder", hub=cast(ModelHub, FakeHub()))
