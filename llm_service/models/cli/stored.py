"""``model list``: what the settings would load, and the models in the Hugging Face cache and in packages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import CacheNotFound, scan_cache_dir

from config.settings import Settings
from engines.base import ModelLoadError
from engines.encoders import embedding_recipe, ranking_recipe
from models.artifacts import BACKEND_OF, ModelArtifact, folder_format, purpose_of
from models.download import cache_folder, free_bytes
from models.hub import ModelHub
from models.remote.listing import gguf_files, local_files, pickled_weights
from models.remote.pins import ModelPins
from models.remote.sources import Machine, this_machine
from models.resolve import (
    EMBEDDED,
    EMBEDDED_EMBEDDER_NAME,
    embedded_embedder,
    encoder_here,
    generator_here,
    local_artifact,
)

Find = Callable[[str], ModelArtifact | None]
Place = tuple[str, str, Path, str | None]
"""Name, kind of place, path and revision of a model."""
ELSEWHERE = {"fake": "no model is loaded", "openai": "the server at LLM_UPSTREAM_URL has the model"}


def rule(settings: Settings) -> tuple[str, Machine]:
    """Return the properties that decide about files: ``LLM_BACKEND`` and the machine."""
    return "auto" if settings.llm_backend in ELSEWHERE else settings.llm_backend, this_machine(settings.llm_device_map)


def list_models(settings: Settings) -> dict[str, Any]:
    """Return the settings with the files and engines behind them, and every model that is here."""
    hub = ModelHub(ModelPins(settings.model_cache_dir), offline=True)
    configured = {
        "LLM_MODEL": _configured(
            settings.llm_model, settings.llm_backend, lambda name: generator_here(name, *rule(settings), hub), settings
        ),
        "EMBEDDING_MODEL": _configured(
            settings.embedding_model, settings.embedding_backend, lambda name: encoder_here(name, hub), settings
        ),
    }
    if settings.rerank_model:
        configured["RERANK_MODEL"] = _configured(
            settings.rerank_model, settings.rerank_backend, lambda name: encoder_here(name, hub), settings
        )
    named = [(entry["name"], "folder", Path(entry["path"]), None) for entry in configured.values() if entry["path"]]
    models = {str(place[2]): _stored(*place, settings) for place in (*named, *_in_cache(), *_in_packages())}
    pinned = {(key, pin.commit) for key, pin in hub.pins.all().items()}
    for entry in configured.values():
        entry["model"] = models[entry["path"]]["name"] if entry["path"] else None
    for model in models.values():
        model["configured_as"] = [name for name, entry in configured.items() if entry["path"] == model["path"]]
        model["pinned"] = (model["name"], model["revision"]) in pinned
    ordered = sorted(models.values(), key=lambda model: (not model["configured_as"], model["place"], model["name"]))
    return {"configured": configured, "models": ordered, "cache": str(cache_folder())}


def as_text(listed: dict[str, Any]) -> str:
    """Show the configuration, then a table of the models on this machine."""
    lines = []
    for setting, entry in listed["configured"].items():
        behind = f"{entry['path']}, loaded by {entry['engine']}" if entry["path"] else entry["problem"]
        lines += [f"{setting}={entry['name']}", f"    {behind}"]
    rows = [("NAME", "FORMAT", "REVISION", "SIZE", "ENGINE", "")]
    for model in listed["models"]:
        revision = (model["revision"] or "–")[:12] + (" (pinned)" if model["pinned"] else "")
        marks = ", ".join(model["configured_as"]) or ("" if model["place"] == "cache" else model["place"])
        size, engine = human(model["size_bytes"]), model["engine"] or "none"
        rows.append((model["name"], model["format"], revision, size, engine, marks))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)]
    return "\n".join([*lines, "", f"Cache: {listed['cache']}; {human(free_bytes())} free"])


def engine_for(path: Path, settings: Settings) -> str | None:
    """Return the engine that loads a file or folder; ``None`` when none does."""
    purpose = purpose_of(path)
    if purpose != "text":
        ranks = purpose == "ranking"
        backend = settings.rerank_backend if ranks else settings.embedding_backend
        if backend != "auto":
            return backend
        try:
            suits_openvino = (ranking_recipe if ranks else embedding_recipe).read_recipe(path).suits_openvino
        except ModelLoadError:
            suits_openvino = False
        return "openvino" if suits_openvino else "sentence_transformers"
    kind = "gguf" if path.suffix.lower() == ".gguf" else folder_format(path)
    return BACKEND_OF[kind] if kind else None


def engine_of(artifact: ModelArtifact, settings: Settings) -> str | None:
    """Return the engine that loads a resolved model; ``None`` when none does."""
    return artifact.backend if artifact.format == "gguf" else engine_for(artifact.path, settings)


def human(size: float) -> str:
    """Write a number of bytes with three digits and a unit of a thousand: ``1.07 GB``."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _configured(name: str, backend: str, find: Find, settings: Settings) -> dict[str, Any]:
    path = engine = problem = None
    try:
        artifact = None if backend in ELSEWHERE else find(name)
    except ModelLoadError as error:
        problem = str(error)
    else:
        if artifact is not None:
            path, engine = str(artifact.path), engine_of(artifact, settings)
        elif backend in ELSEWHERE:
            problem = f"the backend is {backend}: {ELSEWHERE[backend]}"
        else:
            problem = f"not on this machine: python dev.py model pull {name} fetches it, and so does the next start"
    return {"name": name, "engine": engine, "path": path, "problem": problem}


def _stored(name: str, place: str, path: Path, revision: str | None, settings: Settings) -> dict[str, Any]:
    files = local_files(path)
    size = sum(file.size for file in files) if path.is_dir() else path.stat().st_size
    kind = folder_format(path) if path.is_dir() else "gguf"
    shown = kind or ("pickle" if pickled_weights(files) else "incomplete")
    found = {"name": name, "place": place, "path": str(path), "format": shown, "size_bytes": size}
    return found | {"revision": revision, "engine": engine_for(path, settings)}


def _in_cache() -> Iterator[Place]:
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return
    revisions = ((repo.repo_id, revision) for repo in repos if repo.repo_type == "model" for revision in repo.revisions)
    for name, revision in revisions:
        folder, commit = revision.snapshot_path, revision.commit_hash
        files = gguf_files(local_files(folder))
        yield from ((f"{name}:{file}", "cache", folder / file, commit) for file in files)
        if not files or folder_format(folder) is not None:
            yield name, "cache", folder, commit


def _in_packages() -> Iterator[Place]:
    try:
        generator, embedder = local_artifact(EMBEDDED), embedded_embedder(EMBEDDED)
    except ModelLoadError:
        return
    if generator and embedder:
        yield f"{EMBEDDED} ({generator.model})", "package", generator.path, None
        yield EMBEDDED_EMBEDDER_NAME, "package", embedder.path, None
