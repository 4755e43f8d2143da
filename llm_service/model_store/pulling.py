"""Decides what ``model pull`` downloads, and downloads it."""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from config.settings import Settings
from engines.base import ModelLoadError
from engines.engine_fit import find_obstacle
from engines.model_artifacts import ModelArtifact
from engines.model_download import missing_bytes
from engines.model_hub import ModelHub
from engines.model_listing import is_embedder
from engines.model_names import parse_hub_name
from engines.model_sources import FetchPlan, plan_embedder, plan_generator
from engines.models import EMBEDDED, embedded_embedder
from model_store.configured import pins_of, wanted_backends
from model_store.inventory import StoredModel, describe_folder, describe_gguf
from model_store.outline import fetch_outline
from model_store.weights import read_config_facts


@dataclass(frozen=True, slots=True)
class Pull:
    """What is about to be downloaded; ``missing`` and ``total`` in bytes. ``pinned`` is the commit that
    was pinned before, ``newest`` the hub's when that is another one; ``note`` is worth knowing before.
    """

    plan: FetchPlan
    total: int
    missing: int
    pinned: str | None
    newest: str | None
    note: str


class TerminalProgress:
    """A bar on standard error with rate and time left."""

    def __init__(self, total: int) -> None:
        # Where nobody watches, a line a minute shows that it lives.
        every = 0.1 if sys.stderr.isatty() else 60.0
        width = min(100, shutil.get_terminal_size().columns - 1)
        self._bar: Any = tqdm(total=total, unit="B", unit_scale=True, file=sys.stderr, mininterval=every, ncols=width)

    def skip(self, size: int) -> None:
        """Count what was here already, and not as speed."""
        self._bar.initial += size
        self._bar.update(size)

    def advance(self, size: int) -> None:
        """Count what has come in."""
        self._bar.update(size)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def plan_pull(name: str, settings: Settings, hub: ModelHub, *, update: bool) -> Pull:
    """Choose the files as the service would; asks the hub. Raises ``ModelLoadError``."""
    if name == EMBEDDED or embedded_embedder(name) is not None:
        raise ModelLoadError(f"{name} is installed with the service (python dev.py setup): there is nothing to fetch")
    if name and Path(name).expanduser().exists():
        raise ModelLoadError(f"{name} is on this machine already: set LLM_MODEL to it")
    plan = choose_files(name, settings, hub, newest=update)
    note = _examine(plan, hub)
    pin = hub.pins.get(plan.source.name.key)
    newest = None
    if pin is not None and not update and plan.source.name.revision is None:
        head = hub.look_up(plan.source.name, newest=True)
        newest = head.commit if head is not None and head.commit != pin.commit else None
    return Pull(
        plan=plan,
        total=sum(file.size for file in plan.files),
        missing=missing_bytes(plan.listing.repo, plan.listing.commit, plan.files),
        pinned=pin.commit if pin else None,
        newest=newest,
        note=note,
    )


def run_pull(pull: Pull, hub: ModelHub) -> StoredModel:
    """Download what is missing, pin the revision, and describe the model. Raises ``ModelLoadError``."""
    progress = TerminalProgress(pull.total)
    try:
        folder = hub.fetch(pull.plan.source.name, pull.plan.listing, pull.plan.files, progress)
    finally:
        progress.close()
    name = pull.plan.source.name
    if name.file is not None:
        return describe_gguf(name.key, folder / name.file, "cache")
    return describe_folder(name.repo, folder, "cache")


def make_hub(settings: Settings) -> ModelHub:
    """Return the hub as the service sees it, with the same pins."""
    return ModelHub(pins_of(settings))


def _examine(plan: FetchPlan, hub: ModelHub) -> str:
    """Find out before gigabytes are fetched that a model works only with code of its own (which is
    refused) or cannot hold a conversation (which is told).
    """
    if plan.source.kind != "safetensors":
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch_outline(plan, hub, Path(scratch))
        artifact = ModelArtifact(folder, "safetensors", plan.listing.repo, plan.listing.repo)
        obstacle = find_obstacle(artifact, "transformers")
        has_template = read_config_facts(folder).chat_template is not None
    if obstacle is not None:
        raise ModelLoadError(f"{plan.listing.repo}: {obstacle}")
    if has_template or is_embedder(plan.listing):
        return ""
    return "It has no chat template, without which the service refuses it: choose an instruction-tuned version."


def choose_files(name: str, settings: Settings, hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose what the service would download; asks the hub. Raises ``ModelLoadError``."""
    asked = parse_hub_name(name)
    if asked.file is None:
        own = hub.look_up(asked, newest=newest)
        if name == settings.embedding_model or (own is not None and is_embedder(own)):
            return plan_embedder(name, hub, newest=newest)
    return plan_generator(name, wanted_backends(settings), hub, newest=newest)
