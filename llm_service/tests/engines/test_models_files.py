"""Names, listings, pins, and which engine reads what."""

import importlib
import threading
from pathlib import Path

import gguf
import pytest

from engines import engine_fit
from engines.base import ModelLoadError
from engines.engine_fit import find_obstacle
from engines.gguf_metadata import TENSOR_TYPES
from engines.model_artifacts import ModelArtifact
from engines.model_listing import RepositoryFile, is_split_gguf, pickled_weights, select
from engines.model_names import HubName, parse_hub_name
from engines.model_pins import ModelPins
from engines.model_sources import generator_sources
from tests.engines.tiny_gguf import save_tiny_gguf

COMMIT = "a" * 40


def files(*paths: str) -> list[RepositoryFile]:
    return [RepositoryFile(path, len(path)) for path in paths]


def paths(chosen: tuple[RepositoryFile, ...]) -> set[str]:
    return {entry.path for entry in chosen}


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("gpt2", HubName("gpt2")),
        ("Qwen/Qwen3-1.7B", HubName("Qwen/Qwen3-1.7B")),
        ("Qwen/Qwen3-1.7B@v1.0", HubName("Qwen/Qwen3-1.7B", None, "v1.0")),
        ("a/b@refs/pr/1", HubName("a/b", None, "refs/pr/1")),
        ("a/b:c.gguf", HubName("a/b", "c.gguf")),
        ("a/b/c.gguf", HubName("a/b", "c.gguf")),
        ("a/b:Q4_K_M/c.GGUF@main", HubName("a/b", "Q4_K_M/c.GGUF", "main")),
    ],
)
def test_names_are_read(name: str, meaning: HubName) -> None:
    assert parse_hub_name(name) == meaning


@pytest.mark.parametrize(
    "name", ["", "/", "a/b/c", "a/../b", "./a/b.gguf", "C:model.gguf", "C:/models/m.gguf", "a b/c", "a/b:c.bin", "a/b@"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ModelLoadError, match="neither a file, a folder nor"):
        parse_hub_name(name)


def test_a_revision_belongs_to_the_repository_it_was_named_with() -> None:
    plain = [(source.name.repo, source.kind) for source in generator_sources("a/b", ("openvino", "transformers"))]
    assert plain == [("OpenVINO/b-int4-ov", "openvino"), ("a/b", "openvino"), ("a/b", "safetensors")]
    revised = list(generator_sources("a/b@v1", ("openvino", "transformers")))
    assert {source.name for source in revised} == {HubName("a/b", None, "v1")}
    assert [source.name.repo for source in generator_sources("OpenVINO/b-ov", ("openvino",))] == ["OpenVINO/b-ov"]


# --- listings -----------------------------------------------------------------------------------


def test_safetensors_are_taken_once_and_nothing_else() -> None:
    listing = files(
        "config.json", "generation_config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "README.md",
        "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "consolidated.safetensors", "pytorch_model.bin", "onnx/model.onnx", "onnx/config.json", "modeling_own.py",
        "original/params.json",
    )  # fmt: skip
    assert paths(select(listing, "safetensors")) == {
        "config.json", "generation_config.json", "tokenizer.model", "merges.txt", "chat_template.jinja",
        "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    }  # fmt: skip
    assert paths(select(files("config.json", "model.safetensors", "consolidated.safetensors"), "safetensors")) == {
        "config.json", "model.safetensors",
    }  # fmt: skip
    assert select(files("config.json", "pytorch_model.bin"), "safetensors") == ()


def test_an_embedders_layers_are_taken_along() -> None:
    listing = files(
        "config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"
    )
    assert paths(select([*listing, *files("onnx/model.json", "2_Dense/pytorch_model.bin")], "safetensors")) == paths(
        tuple(listing)
    )


def test_openvinos_bin_is_taken_only_beside_its_xml() -> None:
    listing = files(
        "config.json", "openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "openvino_tokenizer.bin",
        "pytorch_model.bin", "training_args.bin",
    )  # fmt: skip
    assert paths(select(listing, "openvino")) == paths(tuple(listing[:5]))
    assert select(files("openvino_model.bin", "config.json"), "openvino") == ()
    assert pickled_weights(listing) == ["pytorch_model.bin"]


def test_the_file_that_completes_a_model_comes_last() -> None:
    listing = [RepositoryFile("model.safetensors", 10), RepositoryFile("config.json", 1000)]
    assert [entry.path for entry in select(listing, "safetensors")] == ["config.json", "model.safetensors"]
    exported = files("openvino_model.bin", "openvino_model.xml", "openvino_tokenizer.bin", "openvino_tokenizer.xml")
    assert select(exported, "openvino")[-1].path == "openvino_model.bin"


@pytest.mark.parametrize("path", ["../config.json", "..\\evil.json", "C:evil.json", "/etc/evil.json", "a//b.json"])
def test_a_path_that_leads_elsewhere_is_never_taken(path: str) -> None:
    assert path not in paths(select(files(path, "config.json", "model.safetensors"), "safetensors"))


def test_parts_of_a_split_file_are_known() -> None:
    assert is_split_gguf("m-00001-of-00003.gguf")
    assert not is_split_gguf("m-q4.gguf")


# --- pins ---------------------------------------------------------------------------------------


def test_pins_are_kept_and_forgotten(tmp_path: Path) -> None:
    pins = ModelPins(tmp_path / "not there yet")
    assert pins.all() == {}
    pins.set("a/b", COMMIT, "main", ["config.json"], "mit")
    pins.set("c/d:e.gguf", COMMIT, "v1", ["e.gguf"])
    again = ModelPins(tmp_path / "not there yet")
    assert (again.all()["a/b"].commit, again.all()["a/b"].files, again.all()["a/b"].licence) == (
        COMMIT, ("config.json",), "mit",
    )  # fmt: skip
    again.remove("a/b")
    assert set(pins.all()) == {"c/d:e.gguf"}


def test_pins_set_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def pin(number: int) -> None:
        ModelPins(tmp_path).set(f"a/b{number}", COMMIT, "main", [])

    threads = [threading.Thread(target=pin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ModelPins(tmp_path).all()) == 8


def test_a_folder_that_cannot_be_written_is_told_and_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    ModelPins(tmp_path / "file").set("a/b", COMMIT, "main", [])
    assert "could not be written down" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", '{"models": {"a/b": {}}}', '{"models": []}'])
def test_damaged_pins_are_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "pins.json").write_text(content)
    with pytest.raises(ModelLoadError, match=r"pins\.json cannot be read"):
        ModelPins(tmp_path).all()


# --- engines ------------------------------------------------------------------------------------


def test_every_tensor_type_has_the_name_that_the_library_gives_it() -> None:
    assert {int(kind): kind.name for kind in gguf.GGMLQuantizationType} == TENSOR_TYPES


def test_transformers_turns_back_what_is_said_of_it() -> None:
    known = {kind.name for kind in gguf.quants._type_traits} | {"F32", "F16"}
    assert known == engine_fit.TRANSFORMERS_GGUF_TENSORS


def test_transformers_knows_the_architectures_that_are_said_of_it() -> None:
    integrations = importlib.import_module("transformers.integrations")
    # The library's keys are its own names for them.
    said = {name.replace("moe", "_moe").replace("-", "_") for name in engine_fit.TRANSFORMERS_GGUF_ARCHITECTURES}
    assert said <= set(integrations.GGUF_CONFIG_MAPPING)


@pytest.mark.parametrize("kind", ["F32", "Q5_0", "Q5_1", "BF16"])
def test_what_only_transformers_reads_names_it(tmp_path: Path, kind: str) -> None:
    artifact = ModelArtifact(save_tiny_gguf(tmp_path / "tiny.gguf", kind), "gguf", "tiny", "tiny")
    obstacle = find_obstacle(artifact, "openvino")
    assert obstacle is not None
    assert kind in obstacle.reason
    assert "set LLM_BACKEND=transformers" in obstacle.mend
    assert find_obstacle(artifact, "transformers") is None


def test_a_config_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be read"):
        find_obstacle(ModelArtifact(tmp_path, "safetensors", "m", "m"), "transformers")
