"""The doctor on the models: absent, broken off, unreadable, too large."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROOT, Checkout
from devtools import doctor_models
from devtools.findings import Finding
from devtools.layout import Workspace
from doctor_runs import NOWHERE, findings, has


def test_a_model_that_cannot_be_had_is_a_warning_or_a_fault_by_configuration(checkout: Checkout) -> None:
    status, lines = findings(checkout)
    assert has(lines["warn"], "the model hub cannot be reached: the small embedded model answers instead")
    assert status == 0
    status, lines = findings(checkout, LLM_OFFLINE_MODEL="none")
    assert has(lines["fail"], "Qwen/Qwen3-1.7B is not cached")
    assert status == 1


def test_a_hub_that_is_switched_off_is_named_as_such(checkout: Checkout) -> None:
    _, lines = findings(checkout, HF_HUB_OFFLINE="1")
    assert has(lines["warn"], "the model hub HF_HUB_OFFLINE is set")


def test_a_cached_model_is_found_under_either_name(checkout: Checkout) -> None:
    snapshot = "hub/models--OpenVINO--Qwen3-1.7B-int4-ov/snapshots/abc"
    checkout.write(f"{snapshot}/openvino_model.xml", "")
    _, lines = findings(checkout)
    assert has(lines["ok"], "model: Qwen/Qwen3-1.7B is in")


@pytest.mark.parametrize("name", ["blobs/0a1b.incomplete", "snapshots/abc/model.safetensors"])
def test_a_download_that_was_broken_off_is_named(checkout: Checkout, name: str) -> None:
    path = checkout.root / "hub" / "models--Some--Model" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.startswith("blobs"):
        path.write_bytes(b"half")
    else:
        path.symlink_to(Path("..", "..", "blobs", "never-arrived"))
    try:
        _, lines = findings(checkout, LLM_MODEL="Some/Model")
    finally:
        path.unlink()
        path.parent.rmdir()
    assert has(lines["warn"], "Some/Model: 1 of its files", "are not complete", "dev.py model pull Some/Model")


def test_a_path_that_does_not_exist_is_a_fault(checkout: Checkout) -> None:
    status, lines = findings(checkout, LLM_MODEL="./missing.gguf")
    assert status == 1
    assert has(lines["fail"], "model: ./missing.gguf does not exist")


def as_told(monkeypatch: pytest.MonkeyPatch, folder: Path, model: str) -> list[Finding]:
    """What the doctor says of a model with the service's own environment to ask."""
    for name, value in {
        "ENV_FILES": "none", "HF_ENDPOINT": NOWHERE, "HF_HOME": str(folder), "LLM_MODEL": model,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return list(doctor_models.models(Workspace(ROOT)))


def test_the_service_is_asked_what_it_would_load_and_what_memory_that_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = as_told(monkeypatch, tmp_path, "embedded")
    assert any(finding.seen.startswith("embedded: ") and "loaded by openvino" in finding.seen for finding in told)
    assert any(finding.subject == "memory for the model" for finding in told)
    assert [finding for finding in told if finding.verdict == "fail"] == []


def test_a_folder_without_weights_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    told = as_told(monkeypatch, tmp_path, str(tmp_path / "model"))
    (fault,) = [finding for finding in told if finding.verdict == "fail"]
    assert str(tmp_path / "model") in fault.seen
    assert "correct LLM_MODEL" in fault.mend


@pytest.mark.parametrize(
    ("needed", "total", "available", "verdict"),
    [(20.0, 16.0, 12.0, "fail"), (10.0, 16.0, 4.0, "warn"), (3.0, 16.0, 12.0, "ok"), (3.0, None, None, "ok")],
)
def test_the_memory_is_held_against_the_models_need(
    needed: float, total: float | None, available: float | None, verdict: str
) -> None:
    finding = doctor_models.judge_memory("a/b", needed, total, available)
    assert finding.verdict == verdict
    assert f"a/b needs about {needed:.1f} GB" in finding.seen
