"""``model pull``: downloads the files that the service would, and pins their revision."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants

from config.settings import Settings
from engines.base import ModelLoadError
from models.artifacts import ModelArtifact, purpose_of
from models.cli.stored import engine_for, human, rule
from models.download import missing_bytes
from models.hub import ModelHub
from models.names import parse_hub_name
from models.remote.listing import FetchPlan
from models.remote.pins import ModelPins
from models.remote.sources import plan_encoder, plan_generator
from models.resolve import EMBEDDED, embedded_embedder
from models.shape import read_shape


def pull(name: str, settings: Settings, say: Callable[[str], None], *, update: bool) -> None:
    """Download the missing files of a model. Raises ``ModelLoadError``."""
    if name == EMBEDDED or embedded_embedder(name) is not None:
        raise ModelLoadError(f"{name} is installed with the service (python dev.py setup): there is nothing to fetch")
    if name and Path(name).expanduser().exists():
        raise ModelLoadError(f"{name} is on this machine already: set LLM_MODEL to it")
    hub = ModelHub(ModelPins(settings.model_cache_dir), bar=None)
    if constants.HF_HUB_OFFLINE:
        raise ModelLoadError(
            f"HF_HUB_OFFLINE is set: unset it, or copy the cache ({constants.HF_HUB_CACHE}) from a machine"
        )
    if not hub.reachable:
        raise ModelLoadError(f"{constants.ENDPOINT} cannot be reached: check the network, HTTPS_PROXY and HF_ENDPOINT")
    plan = choose_files(name, settings, hub, newest=update)
    key, commit = plan.source.name.key, plan.listing.commit
    pin, missing = hub.pins.get(key), missing_bytes(plan.listing.repo, commit, plan.files)
    heading = f"{key} at {commit[:12]} ({plan.source.kind})"
    say(heading if parse_hub_name(name).key == key else f"{name} is served from {heading}")
    for file in plan.files:
        say(f"    {human(file.size):>8}  {file.path}")
    if pin is not None and pin.commit != commit:
        say(f"The pin moves from {pin.commit[:12]}; a running service keeps the old revision until it is restarted.")
    say(f"{human(plan.total_bytes)} in all, {human(plan.total_bytes - missing)} of it here already")
    path = hub.fetch(plan)
    fetched = ModelArtifact(path, plan.source.kind, name, name)
    purpose = purpose_of(path)
    if purpose == "text" and plan.source.kind == "safetensors" and not read_shape(fetched).chat_template:
        say("It has no chat template, without which the service refuses it: choose an instruction-tuned version.")
    say(f"{key} is complete, pinned at {commit[:12]}; loaded by {engine_for(path, settings)}")
    head = hub.look_up(plan.source.name, newest=True) if pin and not update and not plan.source.name.revision else None
    if head is not None and head.commit != commit:
        say(f"The hub has a newer revision ({head.commit[:12]}): python dev.py model pull {name} --update takes it.")
    if name not in (settings.llm_model, settings.embedding_model, settings.rerank_model):
        setting = {"embeddings": "EMBEDDING_MODEL", "ranking": "RERANK_MODEL", "text": "LLM_MODEL"}[purpose]
        say(f"To use it, set {setting}={name} in .env and restart the service.")


def choose_files(name: str, settings: Settings, hub: ModelHub, *, newest: bool = False) -> FetchPlan:
    """Choose the files that the service would download; asks the hub. Raises ``ModelLoadError``."""
    asked = parse_hub_name(name)
    own = hub.look_up(asked, newest=newest) if asked.file is None else None
    if name == settings.embedding_model or (own is not None and own.is_embedder):
        return plan_encoder(name, "embedding", hub, newest=newest)
    if name == settings.rerank_model:
        return plan_encoder(name, "rerank", hub, newest=newest)
    return plan_generator(name, *rule(settings), hub, newest=newest)
