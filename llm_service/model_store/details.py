"""Everything worth knowing about one model before it is loaded."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from config.settings import Settings
from engines.base import ModelLoadError
from engines.hardware import memory_bytes
from engines.kv_cache import BLOCK_TOKENS, KV_BYTES_PER_ELEMENT, ModelShape, cache_blocks
from engines.model_artifacts import Format, ModelArtifact
from engines.model_hub import ModelHub
from engines.model_listing import RepositoryFile, is_embedder
from engines.model_names import COMMIT
from engines.model_sources import FetchPlan
from engines.models import (
    EMBEDDED_EMBEDDER_NAME,
    cached_embedder,
    cached_generator,
    embedded_embedder,
    local_artifact,
    local_embedder,
)
from model_store.configured import pins_of, wanted_backends
from model_store.outline import fetch_outline
from model_store.pulling import choose_files
from model_store.verdicts import Verdict, embedder_verdicts, generator_verdicts, is_embedder_folder
from model_store.weights import ModelFacts, read_config_facts, read_facts

DTYPE_BYTES = {"auto": 4, "float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number by LLM_DTYPE; what auto takes depends on the device, so the larger is assumed."""


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """One model. ``here`` is false when only the hub has it; ``memory`` are bytes by engine, weights and
    KV cache together: on OpenVINO the cache that the settings give it, on transformers a full batch of
    conversations of 2,048 tokens.
    """

    name: str
    here: bool
    location: str
    format: str
    purpose: str
    facts: ModelFacts
    revision: str | None
    files: tuple[RepositoryFile, ...]
    verdicts: tuple[Verdict, ...]
    memory: dict[str, int]

    @property
    def supports_thinking(self) -> bool:
        """Whether the chat template knows ``enable_thinking``."""
        return "enable_thinking" in (self.facts.chat_template or "")


def describe(name: str, settings: Settings) -> ModelDetails:
    """Describe a model that is here, or else what the hub has. Raises ``ModelLoadError``."""
    here = _find_here(name, settings)
    if here is not None:
        return _describe_local(name, *here, settings)
    hub = ModelHub(pins_of(settings))
    if not hub.reachable:
        raise ModelLoadError(f"{name} is not on this machine and the hub cannot be reached")
    return _describe_remote(name, choose_files(name, settings, hub), hub, settings)


def _find_here(name: str, settings: Settings) -> tuple[Path, Format] | None:
    hub = ModelHub(pins_of(settings), offline=True)
    path = Path(name).expanduser()
    if name == EMBEDDED_EMBEDDER_NAME or (path.is_dir() and is_embedder_folder(path)):
        embedder = embedded_embedder(name) or local_embedder(name)
        if embedder is not None:
            return embedder.path, embedder.format
    # Also an export of the other engine's is worth describing.
    wanted = dict.fromkeys((*wanted_backends(settings), "openvino", "transformers"))
    artifact = local_artifact(name) or cached_generator(name, tuple(wanted), hub) or cached_embedder(name, hub)
    return (artifact.path, artifact.format) if artifact is not None else None


def _describe_local(name: str, path: Path, kind: Format, settings: Settings) -> ModelDetails:
    is_file = kind == "gguf"
    embeds = not is_file and is_embedder_folder(path)
    found = [path] if is_file else sorted(entry for entry in path.rglob("*") if entry.is_file())
    root = path.parent if is_file else path
    commit = _commit_of(path)
    facts = read_facts(path, kind)
    if facts.licence is None and commit is not None:
        pins = pins_of(settings).all().values()
        facts = replace(facts, licence=next((pin.licence for pin in pins if pin.commit == commit), None))
    return ModelDetails(
        name=name,
        here=True,
        location=str(path),
        format=kind,
        purpose="embeddings" if embeds else "text",
        facts=facts,
        revision=commit,
        files=tuple(RepositoryFile(entry.relative_to(root).as_posix(), entry.stat().st_size) for entry in found),
        verdicts=embedder_verdicts(path) if embeds else generator_verdicts(ModelArtifact(path, kind, name, name)),
        memory={} if embeds else _memory(facts, kind, settings),
    )


def _describe_remote(name: str, plan: FetchPlan, hub: ModelHub, settings: Settings) -> ModelDetails:
    """Describe what a pull would bring, from its texts alone: the weights stay where they are."""
    embeds = is_embedder(plan.listing)
    kind = plan.source.kind
    weight_bytes = sum(file.size for file in plan.files if file.path.endswith((".safetensors", ".bin", ".gguf")))
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch_outline(plan, hub, Path(scratch))
        facts = replace(read_config_facts(folder), weight_bytes=weight_bytes, licence=plan.listing.licence)
        verdicts: tuple[Verdict, ...] = ()
        if embeds:
            verdicts = embedder_verdicts(folder)
        elif kind != "gguf":
            verdicts = generator_verdicts(ModelArtifact(folder, kind, name, name))
    return ModelDetails(
        name=name,
        here=False,
        location=plan.source.name.key,
        format=kind,
        purpose="embeddings" if embeds else "text",
        facts=facts,
        revision=plan.listing.commit,
        files=plan.files,
        verdicts=verdicts,
        memory={} if embeds or kind == "gguf" else _memory(facts, kind, settings),
    )


def _commit_of(path: Path) -> str | None:
    if "snapshots" not in path.parts:
        return None
    return next((part for part in reversed(path.parts) if COMMIT.fullmatch(part)), None)


def _memory(facts: ModelFacts, kind: Format, settings: Settings) -> dict[str, int]:
    """Estimate what each engine would need, in bytes: weights and KV cache."""
    found = {}
    if facts.kv_elements_per_token and facts.weight_bytes and kind != "safetensors":
        shape = ModelShape(facts.context_length or 0, facts.kv_elements_per_token, facts.weight_bytes)
        blocks = cache_blocks(shape, settings.llm_kv_cache_gb, memory_bytes())
        cache = blocks * BLOCK_TOKENS * facts.kv_elements_per_token * KV_BYTES_PER_ELEMENT
        found["openvino"] = int(facts.weight_bytes + cache)
    if facts.kv_elements_per_token and kind != "openvino":
        number = DTYPE_BYTES[settings.llm_dtype]
        weights = facts.parameters * number if facts.parameters else facts.weight_bytes
        tokens = min(facts.context_length or 2048, 2048) * settings.llm_max_batch
        found["transformers"] = int(weights + tokens * facts.kv_elements_per_token * number)
    return found
