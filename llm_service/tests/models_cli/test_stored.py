"""What is on this machine, and what it is."""

import json
from pathlib import Path

import pytest

from tests.engines.tiny_gguf import save_tiny_gguf
from tests.engines.tiny_model import save_tiny_model
from tests.models_cli.conftest import Machine, safetensors_repository

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
    process = machine.start("list")
    assert "not on this machine" in process.communicate(timeout=120)[0]
    assert process.returncode == 0


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
    assert (models[REPO]["engine"], models["someone/files:tiny.gguf"]["engine"]) == ("transformers", "llamacpp")
    assert models["someone/files:tiny.gguf"]["configured_as"] == ["LLM_MODEL"]
    assert models["someone/files:tiny.gguf"]["revision"] == files
    assert listed["configured"]["LLM_MODEL"]["engine"] == "llamacpp"
    text = machine.run("list", LLM_MODEL="someone/files:tiny.gguf")
    assert "tiny.gguf, loaded by llamacpp" in text
    assert f"{commit[:12]} (pinned)" in text


def test_a_configured_path_is_listed(machine: Machine, gguf_file: Path) -> None:
    listed = machine.listed(LLM_MODEL=str(gguf_file))
    (model,) = (entry for entry in listed["models"] if entry["place"] == "folder")
    assert (model["path"], model["configured_as"], model["engine"]) == (str(gguf_file), ["LLM_MODEL"], "llamacpp")


def test_pickles_and_incomplete_models_in_the_cache_are_marked(machine: Machine) -> None:
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
    assert (content["engine"], content["problem"]) == ("llamacpp", None)
    assert (content["chat_template"], content["thinking"]) == (True, False)
    kv_cache = 512 * 2 * 2 * 2 * 16 * 2  # tokens, keys and values, layers, heads, their size, bytes in f16
    assert content["memory_bytes"] == {"llamacpp": gguf_file.stat().st_size + kv_cache}
    text = machine.run("info", str(gguf_file), LLM_BACKEND="openvino")
    assert "llamacpp, but" in text
    assert "set LLM_BACKEND=llamacpp (or auto)" in text


def test_a_folder_is_described(machine: Machine, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    content = json.loads(machine.run("info", str(folder), "--json"))
    assert content["architecture"] == "LlamaForCausalLM"
    assert content["thinking"] is True
    weights = (folder / "model.safetensors").stat().st_size
    assert weights < content["memory_bytes"]["transformers"] < weights + 100_000
    text = machine.run("info", str(folder))
    assert "yes, thinks (enable_thinking)" in text
    assert "about" in text


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_what_only_the_hub_has_is_described_without_fetching_it(machine: Machine, gguf_file: Path, kind: str) -> None:
    files = {"tiny-Q4_K_M.gguf": gguf_file.read_bytes()} if kind == "gguf" else safetensors_repository()
    commit = machine.hub.publish(REPO, files, licence="mit")
    content = json.loads(machine.run("info", REPO, "--json"))
    assert (content["here"], content["revision"], content["licence"]) == (False, commit, "mit")
    assert content["location"] == (f"{REPO}:tiny-Q4_K_M.gguf" if kind == "gguf" else REPO)
    assert content["engine"] == ("llamacpp" if kind == "gguf" else "transformers")
    assert content["memory_bytes"] == {content["engine"]: content["size_bytes"]}
    assert not [entry for entry in machine.hub.requests if "resolve" in entry.path]
    assert "not on this machine" in machine.run("info", REPO)


@pytest.mark.parametrize(("model_type", "served"), [("homegrown", False), ("llama", True)])
def test_a_model_that_needs_code_of_its_own_is_described_as_refused(
    machine: Machine, tmp_path: Path, model_type: str, served: bool
) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    config = {"model_type": model_type, "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    problem = json.loads(machine.run("info", str(folder), "--json"))["problem"]
    assert problem is None if served else "never run" in problem


def test_the_installed_models_are_described(machine: Machine) -> None:
    assert json.loads(machine.run("info", "embedded", "--json"))["context_length"] == 8192
    embedder = json.loads(machine.run("info", "sentence-transformers/all-MiniLM-L6-v2", "--json"))
    assert (embedder["purpose"], embedder["engine"]) == ("embeddings", "openvino")
