"""Takes models out of the Hugging Face cache, and never anything else off the disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CacheNotFound, HFCacheInfo, scan_cache_dir

from config.settings import Settings
from engines.base import ModelLoadError
from engines.model_download import cache_folder, repository_folder
from engines.model_names import HubName, parse_hub_name
from engines.model_sources import generator_sources
from engines.models import EMBEDDED, embedded_embedder
from model_store.configured import Configured, pins_of, wanted_backends


@dataclass(frozen=True, slots=True)
class Removal:
    """What is about to be removed. ``freed_bytes`` on the disk; ``used_by`` names the settings that load
    it now.
    """

    name: HubName
    freed_bytes: int
    used_by: tuple[str, ...]


def plan_removal(name: str, settings: Settings, configured: tuple[Configured, ...]) -> Removal:
    """Find what ``name`` means in the cache: that repository, one GGUF file of it, or the export that the
    service takes for it. Raises ``ModelLoadError`` when there is nothing to remove.
    """
    if name == EMBEDDED or (name and Path(name).expanduser().exists()):
        raise ModelLoadError(f"{name} is not in the Hugging Face cache: only what `model pull` fetched is removed here")
    asked = parse_hub_name(name)
    sources = [source.name for source in generator_sources(name, wanted_backends(settings))]
    for candidate in (asked, *sources):
        target = HubName(candidate.repo, candidate.file)
        freed = _freed_bytes(target)
        if freed is not None:
            return Removal(target, freed, _users(target, configured))
    if embedded_embedder(name) is not None:
        raise ModelLoadError(f"{name} was installed with the service and is not in the Hugging Face cache")
    raise ModelLoadError(f"{name} is not on this machine: python dev.py model list says what is")


def remove(removal: Removal, settings: Settings) -> None:
    """Delete it, and forget its pin. Raises ``ModelLoadError`` when something holds on to a file."""
    folder = repository_folder(removal.name.repo)
    if folder.parent != cache_folder() or folder.is_symlink():
        raise ModelLoadError(f"{folder} does not lie in the cache")
    try:
        if removal.name.file is not None:
            _remove_file(removal.name)
        else:
            # The library's own way looks after files that repositories share.
            cache = _scan()
            commits = _commits(cache, removal.name.repo)
            if cache is not None and commits:
                cache.delete_revisions(*commits).execute()
            if folder.exists():
                shutil.rmtree(folder)
            shutil.rmtree(cache_folder() / ".locks" / folder.name, ignore_errors=True)
    except OSError as error:
        raise ModelLoadError(f"{removal.name.key} is in use ({error.strerror}): stop the service first") from error
    pins = pins_of(settings)
    for key in pins.all():
        if key == removal.name.key or (removal.name.file is None and key.startswith(f"{removal.name.repo}:")):
            pins.remove(key)


def _users(name: HubName, configured: tuple[Configured, ...]) -> tuple[str, ...]:
    folder = repository_folder(name.repo)
    users = []
    for entry in configured:
        loaded = entry.path is not None and entry.path.is_relative_to(folder)
        if loaded and name.file is not None:
            loaded = entry.path in _copies(name)
        # By its name too: the backend's fallback loads the original where the service loads an export of it.
        if loaded or entry.name.partition("@")[0] in (name.key, f"{name.repo}/{name.file}"):
            users.append(entry.setting)
    return tuple(users)


def _scan() -> HFCacheInfo | None:
    try:
        return scan_cache_dir()
    except CacheNotFound:
        return None


def _commits(cache: HFCacheInfo | None, repo: str) -> list[str]:
    repos = cache.repos if cache is not None else ()
    return [
        revision.commit_hash
        for entry in repos
        if entry.repo_type == "model" and entry.repo_id == repo
        for revision in entry.revisions
    ]


def _freed_bytes(name: HubName) -> int | None:
    """Return what removing frees; ``None`` when it is not here."""
    folder = repository_folder(name.repo)
    if not folder.is_dir():
        return None
    if name.file is None:
        # Links count nothing: what they point to is counted where it lies.
        return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    sizes = {path.resolve(): path.stat().st_size for path in _copies(name)}
    return sum(sizes.values()) if sizes else None


def _copies(name: HubName) -> list[Path]:
    """Return the places of one file, in every revision that is here."""
    assert name.file is not None
    return [path for path in repository_folder(name.repo).glob("snapshots/*/" + name.file) if path.is_file()]


def _remove_file(name: HubName) -> None:
    folder = repository_folder(name.repo)
    for path in _copies(name):
        content = path.resolve()
        path.unlink()
        others = (other.resolve() for other in folder.glob("snapshots/**/*") if other.is_symlink())
        if content != path and content.is_relative_to(folder) and content not in others:
            content.unlink(missing_ok=True)
