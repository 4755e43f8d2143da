"""Names, listings, pins."""

import threading
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from models.artifacts import refuse_own_code
from models.files import replacing
from models.names import HubName, parse_hub_name
from models.remote.listing import RepositoryFile, pickled_weights, q4_k_m_file, select
from models.remote.pins import ModelPins

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
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ModelLoadError, match="neither a file, a folder nor"):
        parse_hub_name(name)


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


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["M-Q8_0.gguf", "M-Q4_K_M.gguf", "M-UD-Q4_K_XL.gguf"], "M-Q4_K_M.gguf"),
        (["owner_m.q4_k_m.gguf", "config.json"], "owner_m.q4_k_m.gguf"),
        (["M-Q8_0.gguf", "M-Q4_K_M-00001-of-00002.gguf", "../M-Q4_K_M.gguf"], None),
        (["old/M-Q4_K_M.gguf", "M-Q4_K_M.gguf"], "M-Q4_K_M.gguf"),
        (["Q4_K_M/M.gguf"], None),
        ([], None),
    ],
)
def test_the_q4_k_m_of_a_repository_is_one_file(names: list[str], found: str | None) -> None:
    assert q4_k_m_file(files(*names)) == found


# --- pins ---------------------------------------------------------------------------------------


def test_pins_set_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def pin(number: int) -> None:
        ModelPins(tmp_path).set(f"a/b{number}", COMMIT, "main", [])

    threads = [threading.Thread(target=pin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ModelPins(tmp_path).all()) == 8


def test_a_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    ModelPins(tmp_path / "file").set("a/b", COMMIT, "main", [])
    assert "could not be saved" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", '{"models": {"a/b": {}}}', '{"models": []}'])
def test_damaged_pins_are_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "pins.json").write_text(content)
    with pytest.raises(ModelLoadError, match=r"pins\.json cannot be read"):
        ModelPins(tmp_path).all()


# --- files --------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.json"
    with replacing(path) as draft:
        draft.write_text("first")
    with pytest.raises(UnicodeEncodeError), replacing(path) as draft:
        draft.write_text("half \udc80", encoding="utf-8")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_an_unreadable_config_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be read"):
        refuse_own_code(tmp_path, "m")
