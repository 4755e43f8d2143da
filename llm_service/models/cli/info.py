"""``model info``: one model, before it is loaded; of one that only the hub has, what its listing says."""

from pathlib import Path
from typing import Any

from config.settings import Settings
from engines.base import ModelLoadError
from models.artifacts import BACKEND_OF, Backend, ModelArtifact, purpose_of, read_json, refuse_own_code
from models.cli.pulling import choose_files
from models.cli.stored import engine_of, human, rule
from models.hardware import memory_bytes
from models.hub import ModelHub
from models.names import COMMIT
from models.remote.listing import FetchPlan, local_files
from models.remote.pins import ModelPins
from models.resolve import EMBEDDED_EMBEDDER_NAME, check_backend, encoder_here, generator_here
from models.shape import ModelShape, read_shape

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
        return _describe_remote(name, choose_files(name, settings, hub))
    path, shape = artifact.path, read_shape(artifact)
    commit = next((part for part in reversed(path.parts) if COMMIT.fullmatch(part)), None)
    licence = next((pin.licence for pin in pins.all().values() if pin.commit == commit), None)
    size = path.stat().st_size if path.is_file() else sum(file.size for file in local_files(path))
    known = {"here": True, "location": str(path), "revision": commit, "size_bytes": size}
    return {"name": name, **known, "licence": shape.licence or licence, **_facts(artifact, shape, settings)}


def as_text(details: dict[str, Any]) -> str:
    """Show one model."""
    total = memory_bytes()
    rows = {
        "name": details["name"],
        "where": details["location"] + ("" if details["here"] else ", on the hub (not on this machine)"),
        "revision": details["revision"] or "none (not from the hub)",
        "format": f"{details['format']}, for {details['purpose']}",
        "size": human(details["size_bytes"]),
        "licence": details["licence"] or "unknown (see the model's page)",
        "engine": (details["engine"] or "none") + (f", but {details['problem']}" if details["problem"] else ""),
    }
    if details["here"]:
        rows |= {"architecture": details["architecture"], "context": f"{details['context_length']} tokens"}
    if details["here"] and details["purpose"] == "text":
        template = "yes" if details["chat_template"] else "none: the service refuses a model without one"
        rows["chat template"] = template + (", thinks (enable_thinking)" if details["thinking"] else "")
    for engine, size in details["memory_bytes"].items():
        fits = f", more than this machine's {human(total)}" if size > total else ""
        rows["memory"] = f"about {human(size)} with {engine}{fits}"
    return "\n".join(f"{title + ':':<16}{text}" for title, text in rows.items())


def _find_here(name: str, settings: Settings, hub: ModelHub) -> ModelArtifact | None:
    if name == EMBEDDED_EMBEDDER_NAME or purpose_of(Path(name).expanduser()) != "text":
        return encoder_here(name, hub)
    # Files of another engine than LLM_BACKEND are described too, with the problem.
    return generator_here(name, "auto", rule(settings)[1], hub) or encoder_here(name, hub)


def _describe_remote(name: str, plan: FetchPlan) -> dict[str, Any]:
    """Describe the files that a pull would download; the memory is that of the weights alone."""
    listing, engine = plan.listing, BACKEND_OF[plan.source.kind]
    return {
        "name": name,
        "here": False,
        "location": plan.source.name.key,
        "revision": listing.commit,
        "size_bytes": plan.total_bytes,
        "licence": listing.licence,
        "format": plan.source.kind,
        "purpose": "embeddings" if listing.is_embedder else "text",
        "engine": None if listing.is_embedder else engine,
        "problem": None,
        "memory_bytes": {} if listing.is_embedder else {engine: plan.total_bytes},
    }


def _facts(artifact: ModelArtifact, shape: ModelShape, settings: Settings) -> dict[str, Any]:
    purpose = purpose_of(artifact.path)
    problem = None
    try:
        if artifact.format == "safetensors":
            refuse_own_code(artifact.path, artifact.requested_model)
        if purpose == "text":
            check_backend(artifact, settings.llm_backend)
    except ModelLoadError as error:
        problem = str(error)
    return {
        "format": artifact.format,
        "purpose": purpose,
        "engine": engine_of(artifact, settings),
        "problem": problem,
        "architecture": shape.architecture,
        "context_length": shape.context_length,
        "chat_template": shape.chat_template is not None,
        "thinking": "enable_thinking" in (shape.chat_template or ""),
        "memory_bytes": {artifact.backend: _memory(artifact, shape, settings)} if purpose == "text" else {},
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
