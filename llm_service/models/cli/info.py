"""``model info``: one model, on this machine or on the hub, before it is loaded."""

import tempfile
from pathlib import Path
from typing import Any

from config.settings import Settings
from engines.base import ModelLoadError
from models.artifacts import Backend, ModelArtifact, is_embedder_folder, read_json, refuse_own_code
from models.cli.pulling import choose_files
from models.cli.stored import engine_of, human, rule
from models.hardware import memory_bytes
from models.hub import ModelHub
from models.names import COMMIT
from models.remote.listing import FetchPlan, local_files
from models.remote.pins import ModelPins
from models.resolve import EMBEDDED_EMBEDDER_NAME, check_backend, embedder_here, generator_here
from models.shape import ModelShape, folder_shape, read_shape

NUMBER_BYTES = {"float16": 2, "bfloat16": 2}
"""Bytes of a number by the ``dtype`` in config.json and by ``LLM_DTYPE``; ``auto`` depends on the device: 4 at most."""
KV_BYTES: dict[Backend, float] = {"llamacpp": 2.0, "openvino": 1.2, "transformers": 4.0}
"""Bytes of a number in the KV cache; OpenVINO keeps 8 bits with a scale and a zero point for each group."""
ESTIMATED_TOKENS = 8192
"""Tokens of conversation in the memory estimate, where the context is not shorter."""


def describe(name: str, settings: Settings) -> dict[str, Any]:
    """Describe a model that is here, or else what the hub has. ``memory_bytes`` are weights and KV cache by engine;
    ``problem`` says why the service would refuse the model. Raises ``ModelLoadError``.
    """
    pins = ModelPins(settings.model_cache_dir)
    artifact = _find_here(name, settings, ModelHub(pins, offline=True))
    if artifact is None:
        hub = ModelHub(pins)
        if not hub.reachable:
            raise ModelLoadError(f"{name} is not on this machine and the hub cannot be reached")
        return _describe_remote(name, choose_files(name, settings, hub), hub, settings)
    path, shape = artifact.path, read_shape(artifact)
    commit = next((part for part in reversed(path.parts) if COMMIT.fullmatch(part)), None)
    licence = next((pin.licence for pin in pins.all().values() if pin.commit == commit), None)
    size = path.stat().st_size if path.is_file() else sum(file.size for file in local_files(path))
    known = {"here": True, "location": str(path), "revision": commit, "size_bytes": size}
    return {"name": name, **known, "licence": shape.licence or licence, **_facts(artifact, shape, settings)}


def as_text(details: dict[str, Any]) -> str:
    """Show one model."""
    total = memory_bytes()
    template = "yes" if details["chat_template"] else "none: it cannot hold a conversation, and the service refuses it"
    rows = {
        "name": details["name"],
        "where": details["location"] + ("" if details["here"] else ", on the hub (not on this machine)"),
        "revision": details["revision"] or "none (not from the hub)",
        "format": f"{details['format']} ({details['architecture']}), for {details['purpose']}",
        "size": human(details["size_bytes"]),
        "context": f"{details['context_length']} tokens" if details["context_length"] else "known once it is fetched",
        "chat template": template + (", thinks (enable_thinking)" if details["thinking"] else ""),
        "licence": details["licence"] or "unknown (see the model's page)",
        "engine": details["engine"] + (f", but {details['problem']}" if details["problem"] else ""),
    }
    if details["purpose"] == "embeddings" or (details["format"] == "gguf" and not details["here"]):
        del rows["chat template"]
    for engine, size in details["memory_bytes"].items():
        fits = f", more than this machine's {human(total)}" if size > total else ""
        rows["memory"] = f"about {human(size)} with {engine}{fits}"
    return "\n".join(f"{title + ':':<16}{text}" for title, text in rows.items())


def _find_here(name: str, settings: Settings, hub: ModelHub) -> ModelArtifact | None:
    path = Path(name).expanduser()
    if name == EMBEDDED_EMBEDDER_NAME or (path.is_dir() and is_embedder_folder(path)):
        return embedder_here(name, hub)
    # LLM_BACKEND does not hide what is here: files of another engine are described with the problem.
    return generator_here(name, "auto", rule(settings)[1], hub) or embedder_here(name, hub)


def _describe_remote(name: str, plan: FetchPlan, hub: ModelHub, settings: Settings) -> dict[str, Any]:
    """Describe what a pull would bring, from its texts alone."""
    kind, listing = plan.source.kind, plan.listing
    known = {"here": False, "location": plan.source.name.key, "revision": listing.commit, "licence": listing.licence}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        hub.fetch_outline(plan, folder)
        weights = sum(file.size for file in plan.files if file.path.endswith((".safetensors", ".bin")))
        shape = folder_shape(folder, weights)
        if kind == "gguf":
            shape = ModelShape(listing.context_length, 0, plan.total_bytes, listing.architecture)
        path = folder / plan.source.name.file if plan.source.name.file else folder
        facts = _facts(ModelArtifact(path, kind, name, name), shape, settings)
    return {"name": name, **known, "size_bytes": plan.total_bytes, **facts}


def _facts(artifact: ModelArtifact, shape: ModelShape, settings: Settings) -> dict[str, Any]:
    embeds = artifact.path.is_dir() and is_embedder_folder(artifact.path)
    problem = None
    try:
        if artifact.format == "safetensors":
            refuse_own_code(artifact.path, artifact.requested_model)
        if not embeds:
            check_backend(artifact, settings.llm_backend)
    except ModelLoadError as error:
        problem = str(error)
    return {
        "format": artifact.format,
        "purpose": "embeddings" if embeds else "text",
        "engine": engine_of(artifact, settings),
        "problem": problem,
        "architecture": shape.architecture,
        "context_length": shape.context_length,
        "chat_template": shape.chat_template is not None,
        "thinking": "enable_thinking" in (shape.chat_template or ""),
        "memory_bytes": {} if embeds else {artifact.backend: _memory(artifact, shape, settings)},
    }


def _memory(artifact: ModelArtifact, shape: ModelShape, settings: Settings) -> int:
    weights, kv_bytes = float(shape.weight_bytes), KV_BYTES[artifact.backend]
    if artifact.backend == "transformers":
        config = read_json(artifact.path / "config.json")
        kv_bytes = NUMBER_BYTES.get(settings.llm_dtype, 4)
        weights *= kv_bytes / NUMBER_BYTES.get(str(config.get("dtype") or config.get("torch_dtype")), 4)
    if settings.llm_memory_gb:
        return int(weights + settings.llm_memory_gb * 1024**3)
    return int(weights + min(shape.context_length, ESTIMATED_TOKENS) * shape.kv_elements_per_token * kv_bytes)
