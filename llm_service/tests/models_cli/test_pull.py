"""Fetching models from a hub that is sometimes unwell."""

import errno
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from engines.base import ModelLoadError
from models import download as model_download
from models import hub as model_hub
from models.names import HubName, Source
from models.remote.listing import FetchPlan, RepositoryListing
from models.remote.pins import ModelPins
from tests.models_cli.conftest import LARGE, Machine, gguf_repository, openvino_repository, safetensors_repository
from tests.models_cli.hub_server import Fault

MEGABYTE = 1024**2
REPO = "someone/model"


def test_a_model_is_fetched_whole_and_its_revision_pinned(machine: Machine) -> None:
    commit = machine.hub.publish(REPO, safetensors_repository())
    output = machine.run("pull", REPO)
    assert (machine.snapshot(REPO, commit) / "model.safetensors").read_bytes() == LARGE
    assert {path.name for path in machine.snapshot(REPO, commit).iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    pin = machine.pins()[REPO]
    assert (pin["commit"], pin["requested"], pin["licence"]) == (commit, "main", "apache-2.0")
    assert "26.2 MB in all" in output
    assert output.index("model.safetensors") < output.index("in all") < output.index("is complete")
    assert "set LLM_MODEL=someone/model" in output
    assert output.index("It has no chat template") < output.index("is complete")


def test_a_name_is_served_from_the_first_repository_with_a_q4_k_m(machine: Machine) -> None:
    # The order of LLM_BACKEND=auto depends on the processor; an engine that is set does not.
    qwen = "Qwen/Qwen3-1.7B"
    machine.hub.publish(qwen, safetensors_repository())
    machine.hub.publish("OpenVINO/Qwen3-1.7B-int4-ov", openvino_repository())
    machine.hub.publish("Qwen/Qwen3-1.7B-GGUF", {"Qwen3-1.7B-Q8_0.gguf": b"GGUF"})
    machine.hub.publish("ggml-org/Qwen3-1.7B-GGUF", gguf_repository(), base_model="Qwen/Another")
    commit = machine.hub.publish("unsloth/Qwen3-1.7B-GGUF", gguf_repository(), base_model=qwen)
    output = machine.run("pull", qwen, LLM_BACKEND="llamacpp")
    assert "Qwen/Qwen3-1.7B is served from unsloth/Qwen3-1.7B-GGUF:M-Q4_K_M.gguf" in output
    assert machine.pins()["unsloth/Qwen3-1.7B-GGUF:M-Q4_K_M.gguf"]["commit"] == commit
    assert [path.name for path in machine.snapshot("unsloth/Qwen3-1.7B-GGUF", commit).iterdir()] == ["M-Q4_K_M.gguf"]
    configured = machine.listed(LLM_BACKEND="llamacpp", HF_HUB_OFFLINE="1")["configured"]["LLM_MODEL"]
    assert (configured["model"], configured["engine"]) == ("unsloth/Qwen3-1.7B-GGUF:M-Q4_K_M.gguf", "llamacpp")


def test_a_name_means_the_official_export_to_openvino(machine: Machine) -> None:
    machine.hub.publish("Qwen/Qwen3-1.7B", safetensors_repository())
    commit = machine.hub.publish("OpenVINO/Qwen3-1.7B-int4-ov", openvino_repository())
    output = machine.run("pull", "Qwen/Qwen3-1.7B", LLM_BACKEND="openvino")
    assert "Qwen/Qwen3-1.7B is served from OpenVINO/Qwen3-1.7B-int4-ov" in output
    folder = machine.snapshot("OpenVINO/Qwen3-1.7B-int4-ov", commit)
    assert (folder / "openvino_model.bin").read_bytes() == LARGE
    assert not (folder / "pytorch_model.bin").exists()
    assert not machine.folder("Qwen/Qwen3-1.7B").exists()
    configured = machine.listed(LLM_BACKEND="openvino")["configured"]["LLM_MODEL"]
    assert (configured["model"], configured["engine"]) == ("OpenVINO/Qwen3-1.7B-int4-ov", "openvino")


@pytest.mark.parametrize("name", ["someone/files:small.gguf", "someone/files/small.gguf"])
def test_one_file_of_a_repository_can_be_named(machine: Machine, name: str) -> None:
    commit = machine.hub.publish("someone/files", {"small.gguf": b"GGUF small", "large.gguf": b"GGUF large"})
    machine.run("pull", name)
    assert [path.name for path in machine.snapshot("someone/files", commit).iterdir()] == ["small.gguf"]
    assert machine.pins()["someone/files:small.gguf"]["commit"] == commit


def test_an_embedding_model_comes_with_its_layers(machine: Machine) -> None:
    bert = b'{"model_type": "bert", "architectures": ["BertModel"]}'
    layers = {"modules.json": b"[]", "sentence_bert_config.json": b"{}", "1_Pooling/config.json": b"{}"}
    commit = machine.hub.publish(REPO, safetensors_repository(**{"config.json": bert}, **layers))
    machine.hub.publish("OpenVINO/model-int4-ov", openvino_repository())
    output = machine.run("pull", REPO)
    assert "loaded by sentence_transformers" in output
    assert "set EMBEDDING_MODEL=someone/model" in output
    assert (machine.snapshot(REPO, commit) / "1_Pooling" / "config.json").is_file()
    configured = machine.listed(EMBEDDING_MODEL=REPO)["configured"]["EMBEDDING_MODEL"]
    assert (configured["model"], configured["engine"]) == (REPO, "sentence_transformers")


def test_a_cross_encoder_is_one_to_every_command(machine: Machine) -> None:
    bert = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_labels": 1}
    config = json.dumps(bert | {"max_position_embeddings": 512}).encode()
    machine.hub.publish(REPO, safetensors_repository(**{"config.json": config}))
    output = machine.run("pull", REPO, LLM_BACKEND="transformers")
    assert "loaded by openvino" in output
    assert "set RERANK_MODEL=someone/model" in output
    assert "chat template" not in output
    assert "for ranking" in machine.run("info", REPO)
    configured = machine.listed(RERANK_MODEL=REPO)["configured"]["RERANK_MODEL"]
    assert (configured["model"], configured["engine"]) == (REPO, "openvino")


def test_a_repository_of_gguf_files_means_its_q4_k_m_or_asks_which(machine: Machine) -> None:
    machine.hub.publish("someone/files", {"small.gguf": b"GGUF small", "large.gguf": b"GGUF large"})
    machine.hub.publish("someone/quantised", gguf_repository())
    assert "someone/quantised:M-Q4_K_M.gguf is complete" in machine.run("pull", "someone/quantised", LLM_BACKEND="auto")
    assert "name one of them, as in someone/files:large.gguf" in machine.run("pull", "someone/files", expect=1)
    assert "it has large.gguf, small.gguf" in machine.run("pull", "someone/files:other.gguf", expect=1)


def test_one_part_of_a_split_file_is_refused(machine: Machine) -> None:
    name = "big-00001-of-00002.gguf"
    machine.hub.publish("someone/files", {name: b"GGUF"})
    assert "choose a quantisation that is a single file" in machine.run("pull", f"someone/files:{name}", expect=1)


def test_a_revision_can_be_named(machine: Machine) -> None:
    old = machine.hub.publish(REPO, safetensors_repository())
    machine.hub.publish(REPO, safetensors_repository(extra=b"new"), ref="main")
    machine.hub.repositories[REPO].refs["v1"] = old
    machine.run("pull", f"{REPO}@v1")
    assert (machine.pins()[REPO]["commit"], machine.pins()[REPO]["requested"]) == (old, "v1")
    assert "has no revision v9" in machine.run("pull", f"{REPO}@v9", expect=1)


# --- interruptions ------------------------------------------------------------------------------


def test_a_connection_that_breaks_is_taken_up_where_it_broke(machine: Machine) -> None:
    commit = machine.hub.publish(REPO, safetensors_repository())
    machine.hub.faults["model.safetensors"] = Fault(after=15 * MEGABYTE, times=1)
    machine.run("pull", REPO)
    assert (machine.snapshot(REPO, commit) / "model.safetensors").read_bytes() == LARGE
    ranges = [entry.range for entry in machine.hub.contents("/model.safetensors") if entry.path.startswith("cdn/")]
    assert ranges == [None, f"bytes={10 * MEGABYTE}-"]


@pytest.mark.parametrize(
    "kill", [False, pytest.param(True, marks=pytest.mark.skipif(sys.platform == "win32", reason="no signals"))]
)
def test_an_interrupted_download_is_resumed_by_the_next_one(machine: Machine, kill: bool) -> None:
    if not kill and sys.platform == "win32":
        pytest.skip("Ctrl-C cannot be sent to one process there")
    commit = machine.hub.publish(REPO, safetensors_repository())
    machine.hub.faults["model.safetensors"] = Fault(after=15 * MEGABYTE, times=1, hold=True)
    process = machine.start("pull", REPO)
    assert machine.hub.holding.wait(60)
    partial = _wait_for_partial(machine, 10 * MEGABYTE)
    if kill:
        process.kill()
    else:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    if not kill:
        assert process.returncode == 130
        assert "run the same command to resume" in output
        assert "Traceback" not in output
    assert machine.pins() == {}
    assert partial.stat().st_size == 10 * MEGABYTE
    machine.hub.released.set()
    output = machine.run("pull", REPO)
    assert "10.5 MB of it here already" in output
    assert (machine.snapshot(REPO, commit) / "model.safetensors").read_bytes() == LARGE
    assert machine.hub.contents("/model.safetensors")[-1].range == f"bytes={10 * MEGABYTE}-"
    assert not list(machine.folder(REPO).rglob("*.incomplete"))


def _wait_for_partial(machine: Machine, size: int) -> Path:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for path in machine.folder(REPO).rglob("*.incomplete"):
            if path.stat().st_size >= size:
                return path
        time.sleep(0.02)
    raise AssertionError("nothing arrived")


def test_what_arrives_damaged_is_not_kept(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO)
    blob = next(path for path in (machine.folder(REPO) / "blobs").iterdir() if path.stat().st_size == len(LARGE))
    partial = blob.with_name(f"{blob.name}.incomplete")
    partial.write_bytes(b"other bytes" + LARGE[11 : 20 * MEGABYTE])
    blob.unlink()
    assert "is damaged" in machine.run("pull", REPO, expect=1)
    assert not partial.exists()
    machine.run("pull", REPO)
    assert blob.read_bytes() == LARGE


# --- refusals -----------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_said_to_be_missing(machine: Machine) -> None:
    assert "the hub has no model someone/nothing" in machine.run("pull", "someone/nothing", expect=1)


def test_a_gated_model_asks_for_licence_and_key(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository(), gated=True)
    output = machine.run("pull", REPO, expect=1)
    assert f"accept its licence at {machine.hub.url}/{REPO}, then set HUGGINGFACE_API_KEY" in output
    machine.run("pull", REPO, HUGGINGFACE_API_KEY="hf_mine")


def test_a_wrong_key_is_said_to_be_one(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    machine.hub.refused_keys = {"hf_wrong"}
    output = machine.run("pull", REPO, expect=1, HUGGINGFACE_API_KEY="hf_wrong")
    assert "HTTP 401): check HUGGINGFACE_API_KEY" in output
    assert "hf_wrong" not in output


def test_the_key_goes_to_the_hub_and_nowhere_else(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO, HUGGINGFACE_API_KEY="hf_mine", HF_TOKEN="hf_other")
    content = [entry for entry in machine.hub.requests if entry.path.startswith("cdn/")]
    to_hub = [entry for entry in machine.hub.requests if entry.path.startswith(("api/models/someone", "someone/"))]
    assert content
    assert {entry.authorization for entry in content} == {None}
    assert {entry.authorization for entry in to_hub} == {"Bearer hf_mine"}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.ckpt"])
def test_pickled_weights_are_refused_by_name(machine: Machine, name: str) -> None:
    machine.hub.publish(REPO, {"config.json": b"{}", name: b"\x80\x04"})
    output = machine.run("pull", REPO, expect=1)
    assert f"only as pickle ({name})" in output
    assert "safetensors" in output
    assert not machine.hub.contents(f"/{name}")


def test_a_model_that_needs_its_own_code_is_refused_before_it_is_fetched(machine: Machine) -> None:
    own = b'{"model_type": "homegrown", "auto_map": {"AutoConfig": "code.Config"}}'
    machine.hub.publish(REPO, safetensors_repository(**{"config.json": own, "code.py": b"raise SystemExit"}))
    output = machine.run("pull", REPO, expect=1)
    assert "works only with code from its own repository (auto_map), which is never run" in output
    assert not machine.hub.contents("/model.safetensors")
    assert not machine.hub.contents("/code.py")


def test_where_links_are_not_possible_a_file_lies_there_once(machine: Machine) -> None:
    commit = machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO, HF_HUB_DISABLE_SYMLINKS="1")
    weights = machine.snapshot(REPO, commit) / "model.safetensors"
    assert weights.read_bytes() == LARGE
    assert not weights.is_symlink()
    assert sum(path.stat().st_size for path in machine.folder(REPO).rglob("*") if path.is_file()) < 1.1 * len(LARGE)
    assert "26.2 MB of it here already" in machine.run("pull", REPO, HF_HUB_DISABLE_SYMLINKS="1")


def test_offline_nothing_is_fetched(machine: Machine) -> None:
    machine.hub.publish(REPO, safetensors_repository())
    output = machine.run("pull", REPO, expect=1, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in output
    assert machine.hub.requests == []


def test_a_hub_that_cannot_be_reached_is_named(machine: Machine) -> None:
    output = machine.run("pull", REPO, expect=1, HF_ENDPOINT="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in output


def test_a_full_disk_is_noticed_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 3 * 10**9

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    model_download.check_disk(REPO, 2 * 10**9)
    with pytest.raises(ModelLoadError, match=r"needs 2\.60 GB and 0\.54 GB to spare, and 3\.00 GB are free"):
        model_download.check_disk(REPO, int(2.6 * 10**9))


def test_a_disk_that_fills_up_meanwhile_is_said_to_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_hub, "download", fail)
    listing = RepositoryListing(REPO, "a" * 40, ())
    with pytest.raises(ModelLoadError, match="the disk became full while someone/model was fetched"):
        model_hub.ModelHub(ModelPins(tmp_path)).fetch(FetchPlan(Source(HubName(REPO), "safetensors"), listing, ()))


# --- pins ---------------------------------------------------------------------------------------


def test_a_pin_stays_when_the_hub_moves_on(machine: Machine) -> None:
    old = machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO)
    new = machine.hub.publish(REPO, safetensors_repository(**{"tokenizer.json": b'{"new": 1}'}))
    output = machine.run("pull", REPO)
    assert f"The hub has a newer revision ({new[:12]})" in output
    assert machine.pins()[REPO]["commit"] == old
    assert not machine.snapshot(REPO, new).exists()


def test_update_moves_the_pin_and_fetches_only_what_changed(machine: Machine) -> None:
    old = machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO)
    new = machine.hub.publish(REPO, safetensors_repository(**{"tokenizer.json": b'{"new": 1}'}))
    before = len(machine.hub.contents("/model.safetensors"))
    output = machine.run("pull", REPO, "--update")
    assert f"The pin moves from {old[:12]}" in output
    assert machine.pins()[REPO]["commit"] == new
    assert (machine.snapshot(REPO, new) / "model.safetensors").read_bytes() == LARGE
    assert len(machine.hub.contents("/model.safetensors")) == before


def test_a_pinned_revision_that_the_hub_dropped_is_said_with_the_way_out(machine: Machine) -> None:
    old = machine.hub.publish(REPO, safetensors_repository())
    machine.run("pull", REPO)
    machine.hub.publish(REPO, safetensors_repository(**{"tokenizer.json": b'{"new": 1}'}))
    del machine.hub.repositories[REPO].commits[old]
    assert f"model pull {REPO} --update" in machine.run("pull", REPO, expect=1)
