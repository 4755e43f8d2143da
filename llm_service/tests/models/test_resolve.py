"""Names to files, without a network: a hub that is a dictionary."""

import json
import sys
from pathlib import Path
from typing import Literal, cast

import pytest

from config.settings import Settings
from engines.base import ModelLoadError
from models.artifacts import ModelArtifact, folder_format
from models.hardware import has_avx512
from models.hub import ModelHub
from models.names import HubName, Source
from models.remote.listing import FetchPlan, RepositoryListing, local_files, q4_k_m_file
from models.remote.sources import Machine, generator_sources
from models.resolve import EMBEDDED_EMBEDDER_NAME, EMBEDDED_GENERATOR_NAME, resolve_encoder, resolve_generator
from workers import loading

QWEN = "Qwen/Qwen3-1.7B"
EXPORT = "OpenVINO/Qwen3-1.7B-int4-ov"
PLAIN, AVX512, CUDA = Machine(), Machine(avx512=True), Machine(cuda=True, avx512=True)


class FakeHub:
    """A hub with what has been fetched before and what could be fetched."""

    def __init__(self, cached: dict[str, Path] | None = None, remote: dict[str, Path] | None = None) -> None:
        self._cached = cached or {}
        self._remote = remote or {}
        self.reachable = remote is not None

    def cached(self, source: Source) -> Path | None:
        folder = self._cached.get(source.name.repo)
        if folder is None:
            return None
        if source.kind == "gguf":
            file = source.name.file or q4_k_m_file(local_files(folder))
            return folder / file if file and (folder / file).is_file() else None
        return folder if folder_format(folder) == source.kind else None

    def look_up(self, name: HubName, *, newest: bool = False) -> RepositoryListing | None:
        folder = self._remote.get(name.repo)
        return RepositoryListing(name.repo, "0" * 40, tuple(local_files(folder))) if folder else None

    def fetch(self, plan: FetchPlan) -> Path:
        name = plan.source.name
        return self._remote[name.repo] / name.file if name.file else self._remote[name.repo]


def resolve(
    name: str,
    backend: str = "auto",
    *,
    hub: FakeHub | None = None,
    machine: Machine = PLAIN,
    offline: Literal["embedded", "none"] = "embedded",
) -> ModelArtifact:
    fake = cast(ModelHub, hub or FakeHub())
    return resolve_generator(name, backend, machine=machine, offline_model=offline, hub=fake)


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


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    folder = tmp_path / "converted"
    folder.mkdir()
    for name in ("Qwen3-1.7B-Q8_0.gguf", "Qwen3-1.7B-Q4_K_M.gguf", "README.md"):
        (folder / name).write_bytes(b"GGUF")
    return folder


# --- the rule behind auto -----------------------------------------------------------------------


def places(name: str, backend: str = "auto", machine: Machine = PLAIN) -> list[tuple[str, str]]:
    return [(source.name.repo, source.kind) for source in generator_sources(name, backend, machine)]


def test_the_processor_decides_the_order() -> None:
    ggufs = [
        (repo, "gguf")
        for repo in (
            QWEN, "Qwen/Qwen3-1.7B-GGUF", "ggml-org/Qwen3-1.7B-GGUF", "unsloth/Qwen3-1.7B-GGUF",
            "bartowski/Qwen_Qwen3-1.7B-GGUF",
        )
    ]  # fmt: skip
    exports = [(EXPORT, "openvino"), (QWEN, "openvino")]
    plain = [(QWEN, "safetensors")]
    assert places(QWEN) == ggufs + exports + plain
    assert places(QWEN, machine=AVX512) == exports + ggufs + plain
    assert places(QWEN, machine=CUDA) == plain + ggufs + exports
    assert places(QWEN, "openvino") == exports
    assert places(QWEN, "llamacpp", CUDA) == ggufs
    assert places(QWEN, "transformers") == plain


def test_a_revision_belongs_to_the_repository_it_was_named_with() -> None:
    assert {repo for repo, _ in places("a/b@v1")} == {"a/b"}
    assert places("OpenVINO/b-ov", "openvino") == [("OpenVINO/b-ov", "openvino")]
    assert places("gpt2", "openvino") == [("gpt2", "openvino")]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_the_processor_is_asked_for_avx512() -> None:
    assert has_avx512() is ("avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8"))


# --- files that are here ------------------------------------------------------------------------


def test_the_embedded_model_is_found_in_its_package() -> None:
    model = resolve("embedded")
    assert (model.backend, model.format) == ("openvino", "gguf")
    assert resolve("embedded", "llamacpp").backend == "llamacpp"
    assert model.model == EMBEDDED_GENERATOR_NAME
    assert model.path.suffix == ".gguf"
    assert not model.degraded


@pytest.mark.parametrize("backend", ["auto", "openvino", "transformers"])
def test_an_unreachable_hub_is_stood_in_for_and_that_is_said(backend: str) -> None:
    model = resolve(QWEN, backend)
    assert (model.degraded, model.requested_model, model.backend) == (True, QWEN, "openvino")
    assert model.model == EMBEDDED_GENERATOR_NAME


def test_an_unreachable_hub_without_stand_in_is_an_error_with_a_way_out() -> None:
    with pytest.raises(ModelLoadError, match="LLM_OFFLINE_MODEL=embedded"):
        resolve(QWEN, offline="none")


def test_what_is_cached_is_used_before_anything_is_fetched(exported: Path, safetensors: Path, converted: Path) -> None:
    remote = {"ggml-org/Qwen3-1.7B-GGUF": converted}
    model = resolve(QWEN, hub=FakeHub(cached={EXPORT: exported}, remote=remote))
    assert (model.backend, model.path) == ("openvino", exported)
    assert resolve(QWEN, hub=FakeHub(cached={QWEN: safetensors}, remote=remote)).backend == "transformers"


def test_an_engine_that_is_set_takes_its_own_files(exported: Path, safetensors: Path, converted: Path) -> None:
    hub = FakeHub(remote={EXPORT: exported, QWEN: safetensors, "unsloth/Qwen3-1.7B-GGUF": converted})
    assert resolve(QWEN, "openvino", hub=hub).path == exported
    assert resolve(QWEN, "transformers", hub=hub).path == safetensors
    assert resolve(QWEN, "llamacpp", hub=hub, machine=CUDA).path.parent == converted
    assert resolve(QWEN, hub=hub, machine=CUDA).path == safetensors


def test_a_model_without_conversion_goes_to_transformers(safetensors: Path) -> None:
    assert resolve("someone/model", hub=FakeHub(remote={"someone/model": safetensors})).backend == "transformers"
    with pytest.raises(ModelLoadError, match="has files that llamacpp loads: set LLM_BACKEND=auto"):
        resolve("someone/model", "llamacpp", hub=FakeHub(remote={"someone/model": safetensors}))


def test_a_model_fetched_in_part_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_text("")
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    )
    assert resolve("someone/model", hub=FakeHub(cached={"someone/model": tmp_path})).degraded


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_folder_is_served_by_the_engine_it_was_made_for(exported: Path, backend: str) -> None:
    assert resolve(str(exported), backend).backend == "openvino"


def test_files_of_another_engine_than_the_set_one_are_an_error_with_a_way_out(
    exported: Path, safetensors: Path, converted: Path
) -> None:
    file = str(converted / "Qwen3-1.7B-Q8_0.gguf")
    for name, backend, wanted in (
        (str(exported), "transformers", "openvino"),
        (str(safetensors), "openvino", "transformers"),
        (file, "openvino", "llamacpp"),
        ("embedded", "transformers", "openvino"),
        ("a/b:c.gguf", "openvino", "llamacpp"),
    ):
        with pytest.raises(
            ModelLoadError, match=rf"LLM_BACKEND={backend} does not load: set LLM_BACKEND={wanted} \(or auto"
        ):
            resolve(name, backend)
    assert resolve(str(safetensors)).backend == "transformers"
    assert resolve(file).backend == "llamacpp"


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelLoadError, match="pickled weights are not loaded"):
        resolve(str(tmp_path))


def test_a_model_in_several_openvino_files_is_refused_with_its_reason(tmp_path: Path) -> None:
    for name in ("openvino_language_model.xml", "openvino_language_model.bin", "openvino_text_embeddings_model.xml"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_5"}')
    with pytest.raises(ModelLoadError, match=r"several files.*GGUF or safetensors version"):
        resolve(str(tmp_path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"there is no file model\.gguf"):
        resolve(str(tmp_path / "model.gguf"))


def test_a_file_that_is_no_gguf_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fake.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match=r"fake\.gguf"):
        resolve(str(tmp_path / "fake.gguf"))


def test_the_embedding_model_comes_from_its_package() -> None:
    for name in ("embedded", EMBEDDED_EMBEDDER_NAME):
        artifact = resolve_encoder(name, "embedding", cast(ModelHub, FakeHub()))
        assert artifact.model == EMBEDDED_EMBEDDER_NAME
        assert (artifact.path / "model.safetensors").is_file()
        assert not artifact.degraded


def test_another_embedding_model_is_never_stood_in_for() -> None:
    with pytest.raises(ModelLoadError, match="hub cannot be reached"):
        resolve_encoder("someone/other-embedder", "embedding", cast(ModelHub, FakeHub()))


def test_an_engine_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loading.ENGINES, ("generator", "llamacpp"), ("no_such_package", "Engine"))
    settings = Settings(_env_file=None, llm_model="embedded", llm_backend="llamacpp")  # type: ignore[call-arg]
    with pytest.raises(ModelLoadError, match=r"no_such_package is not installed: run python dev.py setup"):
        loading.load_generator(settings)
