"""The doctor on the models: absent, unreadable, too large."""

from __future__ import annotations

import json

import pytest

from conftest import NOWHERE, ROOT, Checkout
from devtools.doctor.models import models


def scripted(checkout: Checkout, **behind: str) -> Checkout:
    """A checkout whose service says this of its language model."""
    configured = {"LLM_MODEL": {"name": "Some/Model", "path": None, "engine": None, "problem": None, **behind}}
    answer = {"configured": configured, "memory_bytes": {"openvino": 1 << 50}}
    checkout.write("llm_service/scripts/models.py", f"print({json.dumps(answer)!r})\n")
    checkout.write("llm_service/models/hardware.py", "def memory_bytes(): return 1 << 30\n")
    return checkout


@pytest.mark.parametrize(
    ("variables", "verdict", "seen"),
    [
        ({}, "warn", "the model hub cannot be reached: the small embedded model answers instead"),
        ({"HF_HUB_OFFLINE": "1"}, "warn", "HF_HUB_OFFLINE is set"),
        ({"LLM_OFFLINE_MODEL": "none"}, "fail", "Some/Model is not on this machine"),
    ],
)
def test_a_model_that_cannot_be_had_is_a_warning_or_a_fault_by_configuration(
    checkout: Checkout, variables: dict[str, str], verdict: str, seen: str
) -> None:
    absent = scripted(checkout, problem="not on this machine: python dev.py model pull Some/Model fetches it")
    (finding,) = absent.look(models, **variables)[verdict]
    assert seen in finding
    assert "dev.py model pull" in finding


def test_a_model_that_the_service_refuses_and_one_too_large_are_faults(checkout: Checkout) -> None:
    (finding,) = scripted(checkout, problem="it has no weights").look(models)["fail"]
    assert finding.startswith("LLM_MODEL: Some/Model: it has no weights")
    found = scripted(checkout, path="/a/folder", engine="openvino").look(models)
    assert found["ok"] == ["LLM_MODEL: Some/Model: /a/folder, loaded by openvino -> "]
    assert "Some/Model needs about 1048576.8 GB, this machine has 1.0 GB" in found["fail"][0]


def test_a_script_that_fails_and_an_environment_that_is_missing_are_said(
    checkout: Checkout, bare_checkout: Checkout
) -> None:
    checkout.write("llm_service/scripts/models.py", "raise SystemExit(1)\n")
    assert "cannot list them" in checkout.look(models)["fail"][0]
    assert "examined once" in bare_checkout.look(models)["ok"][0]


def test_the_services_own_script_is_understood() -> None:
    embedded = {"ENV_FILES": "none", "LLM_MODEL": "embedded", "HF_ENDPOINT": NOWHERE}
    found = Checkout(ROOT).look(models, **embedded)
    assert found["fail"] == []
    assert any(line.startswith("LLM_MODEL: embedded: ") and "loaded by" in line for line in found["ok"])
    assert any(line.startswith("EMBEDDING_MODEL: ") for line in found["ok"])
    assert any(line.startswith("memory for the model: embedded needs about ") for line in found["ok"])
