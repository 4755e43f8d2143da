"""What is on this machine, what it is, and taking it away."""

import json
import sys
from pathlib import Path

import pytest

from tests.engines.tiny_gguf import save_tiny_gguf
from tests.engines.tiny_model import save_tiny_model
from tests.model_store.conftest import Machine, openvino_repository, safetensors_repository

REPO = "someone/model"


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    return save_tiny_gguf(tmp_path / "tiny.gguf", "Q5_0")


# --- list ---------------------------------------------------------------------------------------


def test_an_empty_machine_has_the_installed_models(machine: Machine) -> None:
    listed = machine.listed()
    assert [(model["name"], model["place"]) for model in listed["models"]] == [
        ("sentence-transformers/all-MiniLM-L6-v2", "package"),
        ("embedded (HuggingFaceTB/SmolLM2-135M-Instruct)", "package"),
    ]
    assert listed["configured"]["EMBEDDING_MODEL"]["engine"] == "openvino"
    assert "model pull Qwen/Qwen3-1.7B" in listed["configured"]["LLM_MODEL"]["problem"]
    assert "not on this machine" in machine.run("list")


def test_everything_that_was_fetched_is_listed(machine: Machine, gguf_file: Path) -> None:
    commit = machine.hub.publish(REPO, safetensors_repository())
    files = machine.hub.publish("someone/files", {"tiny.gguf": gguf_file.read_bytes(), "b.gguf": b"GGUF"})
    for name in (REPO, "someone/files:tiny.gguf", "someone/files:b.gguf"):
        machine.run("pull", name)
    listed = machine.listed(LLM_MODEL="someone/files:tiny.gguf")
    models = {model["name"]: model for model in listed["models"] if model["place"] == "cache"}
    assert set(models) == {REPO, "someone/files:tiny.gguf", "someone/files:b.gguf"}
    assert (models[REPO]["format"], models[REPO]["revision"], models[REPO]["pinned"]) == ("safetensors", commit, True)
    assert models[REPO]["size_bytes"] > 25 * 1024**2
    assert models[REPO]["engines"]["transformers"]["serves"] is True
    assert "exported" in models[REPO]["engines"]["openvino"]["why_not"]
    tiny = models["someone/files:tiny.gguf"]
    assert "Q5_0" in tiny["engines"]["openvino"]["why_not"]
    assert tiny["configured_as"] == ["LLM_MODEL"]
    assert "not a readable GGUF file" in models["someone/files:b.gguf"]["engines"]["transformers"]["why_not"]
    assert listed["configured"]["LLM_MODEL"]["engine"] == "transformers"
    text = machine.run("list", LLM_MODEL="someone/files:tiny.gguf")
    assert f"someone/files:tiny.gguf at {files[:12]} (gguf), loaded by transformers" in text
    assert f"{commit[:12]} (pinned)" in text


def test_models_in_the_models_folder_and_configured_paths_are_listed(
    machine: Machine, gguf_file: Path, tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "models" / "tiny")
    listed = machine.listed(LLM_MODEL=str(gguf_file))
    folders = {Path(model["path"]).name: model for model in listed["models"] if model["place"] == "folder"}
    assert set(folders) == {"tiny", "tiny.gguf"}
    assert folders["tiny.gguf"]["configured_as"] == ["LLM_MODEL"]
    assert folders["tiny"]["format"] == "safetensors"


def test_pickles_and_halves_in_the_cache_are_told_apart(machine: Machine) -> None:
    for repo, name in (("other/pickled", "pytorch_model.bin"), ("other/half", "config.json")):
        folder = machine.snapshot(repo, "0" * 40)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / name).write_text("{}")
    formats = {model["name"]: model["format"] for model in machine.listed()["models"]}
    assert (formats["other/pickled"], formats["other/half"]) == ("pickle", "incomplete")


# --- info ---------------------------------------------------------------------------------------


def test_a_gguf_file_is_described(machine: Machine, gguf_file: Path) -> None:
    content = json.loads(machine.run("info", str(gguf_file), "--json"))
    assert (content["architecture"], content["context_length"]) == ("llama", 512)
    assert content["number_formats"] == ["F32", "Q5_0"]
    assert content["parameters"] == 90560
    assert (content["chat_template"], content["thinking"]) == (True, False)
    assert "Q5_0" in content["engines"]["openvino"]["why_not"]
    assert content["engines"]["transformers"]["serves"] is True
    assert content["memory_bytes"]["transformers"] > 90560 * 4


def test_a_folder_is_described(machine: Machine, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    content = json.loads(machine.run("info", str(folder), "--json"))
    assert content["architecture"] == "LlamaForCausalLM"
    assert content["number_formats"] == ["F32"]
    assert content["weight_bytes"] == (folder / "model.safetensors").stat().st_size
    assert content["thinking"] is True
    text = machine.run("info", str(folder))
    assert "yes (enable_thinking)" in text
    assert "cannot: OpenVINO needs an exported model" in text


def test_what_only_the_hub_has_is_described_without_its_weights(machine: Machine, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    commit = machine.hub.publish_folder(REPO, folder, licence="mit")
    content = json.loads(machine.run("info", REPO, "--json"))
    assert (content["here"], content["revision"], content["licence"]) == (False, commit, "mit")
    assert content["context_length"] == 96
    assert content["thinking"] is True
    assert not machine.hub.contents("/model.safetensors")
    assert not machine.folder(REPO).exists()
    assert "not on this machine" in machine.run("info", REPO)


def test_a_model_that_needs_code_of_its_own_is_refused_by_every_engine(machine: Machine) -> None:
    own = b'{"model_type": "homegrown", "auto_map": {"AutoConfig": "code.Config"}}'
    machine.hub.publish(REPO, safetensors_repository(**{"config.json": own}))
    known = b'{"model_type": "llama", "auto_map": {"AutoConfig": "code.Config"}}'
    machine.hub.publish("someone/known", safetensors_repository(**{"config.json": known}))
    engines = json.loads(machine.run("info", REPO, "--json"))["engines"]
    assert "never run" in engines["transformers"]["why_not"]
    engines = json.loads(machine.run("info", "someone/known", "--json"))["engines"]
    assert engines["transformers"]["serves"] is True


def test_the_installed_models_are_described(machine: Machine) -> None:
    assert json.loads(machine.run("info", "embedded", "--json"))["parameters"] > 130_000_000
    embedder = json.loads(machine.run("info", "sentence-transformers/all-MiniLM-L6-v2", "--json"))
    assert (embedder["purpose"], embedder["engines"]["openvino"]["serves"]) == ("embeddings", True)


# --- remove -------------------------------------------------------------------------------------


def test_a_model_is_removed_with_its_pin_and_nothing_else(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    machine.hub.publish("other/model", safetensors_repository())
    machine.run("pull", REPO)
    machine.run("pull", "other/model")
    beside = machine.cache / "notes.txt"
    beside.write_text("mine")
    output = machine.run("remove", REPO, "--yes")
    assert "26.2 MB freed" in output
    assert not machine.folder(REPO).exists()
    assert set(machine.pins()) == {"other/model"}
    assert machine.folder("other/model").is_dir()
    assert beside.read_text() == "mine"


def test_without_yes_nobody_to_ask_means_no(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO)
    assert "nothing was removed" in machine.run("remove", REPO, expect=1)
    assert machine.folder(REPO).is_dir()


def test_one_file_is_removed_and_the_others_stay(machine: Machine, gguf_file: Path) -> None:
    commit = machine.hub.publish("someone/files", {"a.gguf": gguf_file.read_bytes(), "b.gguf": b"GGUF"})
    machine.run("pull", "someone/files:a.gguf")
    machine.run("pull", "someone/files:b.gguf")
    machine.run("remove", "someone/files:a.gguf", "--yes")
    assert [path.name for path in machine.snapshot("someone/files", commit).iterdir()] == ["b.gguf"]
    assert [path.stat().st_size for path in (machine.folder("someone/files") / "blobs").iterdir()] == [4]
    assert set(machine.pins()) == {"someone/files:b.gguf"}


def test_the_configured_model_is_removed_only_by_force(machine: Machine) -> None:
    machine.hub.publish("OpenVINO/Qwen3-1.7B-int4-ov", openvino_repository())
    machine.run("pull", "Qwen/Qwen3-1.7B")
    for name in ("Qwen/Qwen3-1.7B", "OpenVINO/Qwen3-1.7B-int4-ov"):
        assert "configured now (LLM_MODEL)" in machine.run("remove", name, "--yes", expect=1)
    machine.run("remove", "Qwen/Qwen3-1.7B", "--yes", "--force")
    assert not machine.folder("OpenVINO/Qwen3-1.7B-int4-ov").exists()


def test_what_is_configured_by_name_is_removed_only_by_force_too(machine: Machine, gguf_file: Path) -> None:
    # The backend's fallback loads the original where the service loads the export.
    machine.hub.publish("Qwen/Qwen3-1.7B", safetensors_repository())
    machine.hub.publish("someone/files", {"a.gguf": gguf_file.read_bytes(), "b.gguf": gguf_file.read_bytes()})
    machine.run("pull", "Qwen/Qwen3-1.7B", LLM_BACKEND="transformers")
    assert "configured now (LLM_MODEL)" in machine.run("remove", "Qwen/Qwen3-1.7B", "--yes", expect=1)
    for name in ("someone/files:a.gguf", "someone/files:b.gguf"):
        machine.run("pull", name)
    settings = {"LLM_MODEL": "someone/files/a.gguf"}
    for name in ("someone/files:a.gguf", "someone/files"):
        assert "configured now" in machine.run("remove", name, "--yes", expect=1, **settings)
    machine.run("remove", "someone/files:b.gguf", "--yes", expect=0, **settings)


def test_what_lies_outside_the_cache_is_never_removed(machine: Machine, gguf_file: Path) -> None:
    for name in ("embedded", str(gguf_file), str(gguf_file.parent), "sentence-transformers/all-MiniLM-L6-v2"):
        assert "not in the Hugging Face cache" in machine.run("remove", name, "--yes", "--force", expect=1)
    assert gguf_file.is_file()
    assert "is not on this machine" in machine.run("remove", "someone/nothing", "--yes", expect=1)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_out_of_the_cache_is_not_followed(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    machine.cache.mkdir(parents=True)
    machine.folder("someone/linked").symlink_to(elsewhere)
    assert "does not lie in the cache" in machine.run("remove", "someone/linked", "--yes", expect=1)
    assert elsewhere.is_dir()
