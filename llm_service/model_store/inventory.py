"""The models on this machine: in the Hugging Face cache, installed as packages, in the models folder."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from huggingface_hub import CachedRepoInfo, CachedRevisionInfo, CacheNotFound, scan_cache_dir

from config.settings import Settings
from engines.base import ModelLoadError
from engines.model_artifacts import ModelArtifact, folder_format
from engines.model_hub import local_files
from engines.model_listing import gguf_files, pickled_weights
from engines.model_pins import Pin
from engines.models import EMBEDDED, EMBEDDED_EMBEDDER_NAME, embedded_embedder, local_artifact
from model_store.configured import Configured, pins_of
from model_store.verdicts import Verdict, embedder_verdicts, generator_verdicts, is_embedder_folder

Place = Literal["cache", "package", "folder"]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model on this machine. ``name`` is what a setting would say to mean it, ``path`` its file or
    folder, ``revision`` its commit on the hub; ``size_bytes`` is what it takes on the disk.
    ``configured_as`` names the settings that load it now.
    """

    name: str
    place: Place
    path: Path
    format: str
    purpose: Literal["text", "embeddings"]
    size_bytes: int
    verdicts: tuple[Verdict, ...]
    revision: str | None = None
    pinned: bool = False
    configured_as: tuple[str, ...] = ()


def stored_models(settings: Settings, configured: Iterable[Configured]) -> list[StoredModel]:
    """List everything that is here, the configured models first."""
    configured = tuple(configured)
    found = [
        *_packages(),
        *_cached(pins_of(settings).all()),
        *_in_folder(settings.model_cache_dir),
        *_named(configured),
    ]
    unique: dict[Path, StoredModel] = {}
    for model in found:
        unique.setdefault(model.path, _marked(model, configured))
    return sorted(unique.values(), key=lambda model: (not model.configured_as, model.place, model.name.lower()))


def describe_folder(name: str, folder: Path, place: Place) -> StoredModel:
    """Describe a folder as it would be loaded."""
    kind = folder_format(folder)
    size = sum(file.size for file in local_files(folder))
    if is_embedder_folder(folder):
        verdicts = embedder_verdicts(folder)
        return StoredModel(name, place, folder, kind or "incomplete", "embeddings", size, verdicts)
    if kind is None:
        why = "pickled weights are not loaded" if pickled_weights(local_files(folder)) else "it is not here whole"
        label = "pickle" if why.startswith("pickled") else "incomplete"
        verdicts = (Verdict("openvino", why), Verdict("transformers", why))
        return StoredModel(name, place, folder, label, "text", size, verdicts)
    artifact = ModelArtifact(folder, kind, name, name)
    return StoredModel(name, place, folder, kind, "text", size, generator_verdicts(artifact))


def describe_gguf(name: str, path: Path, place: Place) -> StoredModel:
    """Describe a GGUF file."""
    verdicts = generator_verdicts(ModelArtifact(path, "gguf", name, name))
    return StoredModel(name, place, path, "gguf", "text", path.stat().st_size, verdicts)


def _packages() -> Iterator[StoredModel]:
    try:
        generator = local_artifact(EMBEDDED)
        embedder = embedded_embedder(EMBEDDED)
    except ModelLoadError:
        return
    if generator is not None:
        yield describe_gguf(f"{EMBEDDED} ({generator.model})", generator.path, "package")
    if embedder is not None:
        yield describe_folder(EMBEDDED_EMBEDDER_NAME, embedder.path, "package")


def _cached(pins: dict[str, Pin]) -> Iterator[StoredModel]:
    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return
    for repo in cache.repos:
        if repo.repo_type != "model":
            continue
        for revision in repo.revisions:
            yield from _in_revision(repo, revision, pins)


def _in_revision(repo: CachedRepoInfo, revision: CachedRevisionInfo, pins: dict[str, Pin]) -> Iterator[StoredModel]:
    folder = revision.snapshot_path
    files = gguf_files(local_files(folder))
    models = [
        (f"{repo.repo_id}:{file}", describe_gguf(f"{repo.repo_id}:{file}", folder / file, "cache")) for file in files
    ]
    if not files or folder_format(folder) is not None:
        models.append((repo.repo_id, describe_folder(repo.repo_id, folder, "cache")))
    for key, model in models:
        pin = pins.get(key)
        pinned = pin is not None and pin.commit == revision.commit_hash
        yield replace(model, revision=revision.commit_hash, pinned=pinned)


def _in_folder(folder: Path) -> Iterator[StoredModel]:
    """Find models that somebody put, or a conversion left, in the models folder."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() == ".gguf":
            yield describe_gguf(str(path), path.resolve(), "folder")
        elif path.is_dir() and folder_format(path) is not None:
            yield describe_folder(str(path), path.resolve(), "folder")


def _named(configured: Iterable[Configured]) -> Iterator[StoredModel]:
    """Describe the files and folders that settings name and that lie nowhere else."""
    for setting in configured:
        path = setting.path
        if path is not None and not path.is_dir():
            yield describe_gguf(setting.name, path, "folder")
        elif path is not None:
            yield describe_folder(setting.name, path, "folder")


def _marked(model: StoredModel, configured: Iterable[Configured]) -> StoredModel:
    return replace(model, configured_as=tuple(entry.setting for entry in configured if entry.path == model.path))
