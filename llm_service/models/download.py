"""Downloads into the Hugging Face cache that resume in a later process.

With ``huggingface_hub`` 2.x an interrupted file starts from zero in the next process, since its partial files have
random names. Here the partial file is named after the content, so that a gigabyte interrupted by Ctrl-C or a power
cut is not fetched twice. The layout of the cache, its locks and its client are the library's.
"""

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.file_download import are_symlinks_supported, http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

from engines.base import ModelLoadError
from models.files import file_sha256
from models.remote.listing import RepositoryFile

RESUMED_FROM_BYTES = 16 * 1024**2
"""Smaller files are fetched whole: the library hands content over in pieces of 10 MB."""
MARGIN_BYTES = 512 * 1024**2
"""Disk space that stays free beside the model."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".incomplete"

logger = logging.getLogger(__name__)


class LogBar:
    """Progress of one file as log lines, one for each tenth; built by the library in place of a ``tqdm`` bar."""

    def __init__(self, desc: str = "", total: int | None = None, initial: int = 0, **_: object) -> None:
        self._what, self._total, self._done = desc, total or 0, initial
        self._logged = self._tenth

    @property
    def _tenth(self) -> int:
        return 10 * self._done // self._total if self._total >= RESUMED_FROM_BYTES else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, size: float | None = 1) -> None:
        """Count bytes that have arrived."""
        self._done += int(size or 0)
        if self._tenth > self._logged:
            self._logged = self._tenth
            logger.info("%s: %d of %d MB", self._what, self._done // 10**6, self._total // 10**6)


def cache_folder() -> Path:
    """Return the Hugging Face cache, whether or not it exists."""
    return Path(constants.HF_HUB_CACHE).expanduser().resolve()


def repository_folder(repo: str) -> Path:
    """Return where the cache keeps a repository, whether or not it exists."""
    return cache_folder() / repo_folder_name(repo_id=repo, repo_type="model")


def missing_bytes(repo: str, commit: str, files: Sequence[RepositoryFile]) -> int:
    """Return how many bytes of these files are still to be fetched."""
    folder = repository_folder(repo)
    missing = 0
    for file in files:
        if (folder / "snapshots" / commit / file.path).is_file() or _size(folder / "blobs" / file.blob) == file.size:
            continue
        missing += file.size - min(file.size, _size(folder / "blobs" / f"{file.blob}{_PARTIAL}"))
    return missing


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def free_bytes() -> int:
    """Return the free space on the disk of the cache, in bytes."""
    place = cache_folder()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def check_disk(repo: str, needed: int) -> None:
    """Refuse a download that would fill the disk; ``needed`` in bytes. Raises ``ModelLoadError``."""
    free = free_bytes()
    if needed > 0 and needed + MARGIN_BYTES > free:
        raise ModelLoadError(
            f"{repo} needs {needed / 1e9:.2f} GB and {MARGIN_BYTES / 1e9:.2f} GB to spare, and {free / 1e9:.2f} GB are "
            f"free on the disk of {cache_folder()}: free some space, remove a model (hf cache rm), or move the cache "
            f"(HF_HOME)"
        )


def download(repo: str, commit: str, files: Sequence[RepositoryFile], bar: Any) -> Path:
    """Fetch ``files`` of a commit, one after the other, and return the folder they are in. ``bar`` is a class like
    ``tqdm``, or ``None`` for the library's own. Raises the library's errors.
    """
    folder = repository_folder(repo) / "snapshots" / commit
    for file in files:
        if (folder / file.path).is_file():
            continue
        if file.size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
            blob = _fetch_blob(repo, commit, file, bar)
            if not are_symlinks_supported(cache_folder()):
                # Otherwise the library leaves a second copy of it.
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                blob.replace(folder / file.path)
                continue
        # Links the file into the snapshot; larger files can be fetched only by the library's own protocol.
        hf_hub_download(repo, file.path, revision=commit)
    return folder


def record_reference(repo: str, reference: str, commit: str) -> None:
    """Point a branch or tag at a commit for every program that uses this cache offline."""
    path = repository_folder(repo) / "refs" / reference
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit, encoding="ascii")


def _fetch_blob(repo: str, commit: str, file: RepositoryFile, bar: Any) -> Path:
    url = hf_hub_url(repo, file.path, revision=commit)
    etag = get_hf_file_metadata(url).etag
    if etag is None or not re.fullmatch(r"[\w.-]+", etag):
        raise ModelLoadError(f"the hub does not say which version of {file.path} it has", fatal=False)
    blob = repository_folder(repo) / "blobs" / etag
    lock = cache_folder() / ".locks" / repository_folder(repo).name / f"{etag}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file():
            return blob
        partial = blob.with_name(f"{etag}{_PARTIAL}")
        _resume(url, partial, file, bar)
        if _SHA256.fullmatch(etag) and file_sha256(partial) != etag:
            partial.unlink()
            raise ModelLoadError(f"{file.path} is damaged; the next attempt downloads it again", fatal=False)
        partial.replace(blob)
    return blob


def _resume(url: str, partial: Path, file: RepositoryFile, bar: Any) -> None:
    here = _size(partial)
    if here > file.size or file.size < RESUMED_FROM_BYTES:
        partial.unlink(missing_ok=True)
        here = 0
    if here:
        logger.info("%s: resuming after %d of %d MB", file.path, here // 10**6, file.size // 10**6)
    with partial.open("ab") as target:
        http_get(
            url,
            target,
            resume_size=here,
            # The key is for the hub: the client drops it when it is redirected to another host.
            headers=build_hf_headers(),
            expected_size=file.size,
            displayed_filename=file.path,
            tqdm_class=bar,
        )
