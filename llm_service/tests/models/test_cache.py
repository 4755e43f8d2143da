"""What counts as being in the cache, and at which revision."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from models.hub import ModelHub
from models.names import HubName, Source
from models.remote.pins import ModelPins

NAME = HubName("someone/model")
SAFETENSORS = Source(NAME, "safetensors")
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub" / "models--someone--model"


@pytest.fixture
def pins(tmp_path: Path) -> ModelPins:
    return ModelPins(tmp_path / "pins")


def put(cache: Path, commit: str, *files: str, ref: str | None = "main") -> Path:
    """Lay a snapshot as any program that uses the cache does."""
    folder = cache / "snapshots" / commit
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("{}")
    if ref is not None:
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / ref).write_text(commit)
    return folder


def test_what_another_program_fetched_is_found_and_pinned(cache: Path, pins: ModelPins) -> None:
    folder = put(cache, OLD, "config.json", "model.safetensors")
    assert ModelHub(pins).cached(SAFETENSORS) == folder
    assert pins.all()["someone/model"].commit == OLD
    put(cache, NEW, "config.json", "model.safetensors")
    assert ModelHub(pins).cached(SAFETENSORS) == folder


def test_looking_pins_nothing(cache: Path, pins: ModelPins) -> None:
    put(cache, OLD, "config.json", "model.safetensors")
    assert ModelHub(pins, offline=True).cached(SAFETENSORS) is not None
    assert pins.all() == {}


def test_a_pinned_revision_that_is_not_here_is_not_replaced_by_another(cache: Path, pins: ModelPins) -> None:
    pins.set("someone/model", OLD, "main", ["config.json"])
    put(cache, NEW, "config.json", "model.safetensors")
    assert ModelHub(pins, offline=True).cached(SAFETENSORS) is None


def test_a_revision_in_the_name_wins(cache: Path, pins: ModelPins) -> None:
    put(cache, NEW, "config.json", "model.safetensors")
    put(cache, OLD, "config.json", "model.safetensors", ref="v1")
    hub = ModelHub(pins, offline=True)
    pins.set("someone/model", NEW, "main", ["config.json"])
    for revision, commit in ((None, NEW), ("main", NEW), ("v1", OLD), (OLD, OLD)):
        found = hub.cached(Source(HubName("someone/model", None, revision), "safetensors"))
        assert found is not None
        assert found.name == commit
    assert hub.cached(Source(HubName("someone/model", None, "v9"), "safetensors")) is None


@pytest.mark.parametrize(
    "files",
    [(), ("config.json",), ("model.safetensors",), ("config.json", "pytorch_model.bin"), ("openvino_model.xml",)],
)
def test_an_incomplete_model_is_not_found(cache: Path, pins: ModelPins, files: tuple[str, ...]) -> None:
    put(cache, OLD, *files)
    assert ModelHub(pins).cached(SAFETENSORS) is None
    assert ModelHub(pins).cached(Source(NAME, "openvino")) is None
    assert pins.all() == {}


def test_a_file_that_the_pin_names_must_be_there(cache: Path, pins: ModelPins) -> None:
    folder = put(cache, OLD, "config.json", "model.safetensors")
    pins.set("someone/model", OLD, "main", ["config.json", "model.safetensors", "tokenizer.json"])
    assert ModelHub(pins).cached(SAFETENSORS) is None
    (folder / "tokenizer.json").write_text("{}")
    assert ModelHub(pins).cached(SAFETENSORS) == folder


def test_weights_that_the_librarys_own_listing_names_must_be_there(cache: Path, pins: ModelPins) -> None:
    folder = put(cache, OLD, "config.json", "a.safetensors")
    sizes = {
        name: {"size": 2, "blob_id": "0"} for name in ("config.json", "a.safetensors", "b.safetensors", "vocab.txt")
    }
    (cache / "trees").mkdir()
    (cache / "trees" / f"{OLD}.json").write_text(json.dumps({"format_version": 1, "files": sizes}))
    assert ModelHub(pins).cached(SAFETENSORS) is None
    (folder / "b.safetensors").write_text("{}")
    assert ModelHub(pins).cached(SAFETENSORS) == folder


@pytest.mark.parametrize("reference", ["", "not a commit", "../../../etc"])
def test_a_damaged_reference_means_nothing(cache: Path, pins: ModelPins, reference: str) -> None:
    put(cache, OLD, "config.json", "model.safetensors")
    (cache / "refs" / "main").write_text(reference)
    assert ModelHub(pins).cached(SAFETENSORS) is None


def test_the_q4_k_m_of_a_repository_is_found_and_pinned(cache: Path, pins: ModelPins) -> None:
    folder = put(cache, OLD, "Model-Q8_0.gguf", "Model-Q4_K_M.gguf")
    assert ModelHub(pins).cached(Source(NAME, "gguf")) == folder / "Model-Q4_K_M.gguf"
    assert pins.all()["someone/model:Model-Q4_K_M.gguf"].commit == OLD
    put(cache, NEW, "Model-Q4_K_M.gguf")
    assert ModelHub(pins).cached(Source(NAME, "gguf")) == folder / "Model-Q4_K_M.gguf"
