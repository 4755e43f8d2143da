"""Fetches files of a repository into the Hugging Face cache, going on where an earlier attempt ended.

``huggingface_hub`` 2.x begins an interrupted file anew in the next process (its partial files carry a
random name). Here the partial file is named after the content, so that a gigabyte whose download was
interrupted, by Ctrl-C or by a power cut, is not fetched twice. The layout of the cache is the library's.
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self, cast

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.file_download import are_symlinks_supported, http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

from engines.base import ModelLoadError
from engines.model_listing import RepositoryFile

RESUMED_FROM_BYTES = 16 * 1024**2
"""Smaller files are fetched whole: the library hands content over in pieces of 10 MB."""
MARGIN_BYTES = 512 * 1024**2
"""What stays free on the disk beside the model."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".incomplete"

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Whoever wants to know how far a download is."""

    def skip(self, size: int) -> None:
        """So many bytes were here already."""
        ...

    def advance(self, size: int) -> None:
        """So many bytes have come in."""
        ...


class LogProgress:
    """Says in the log, at every tenth, how far a download is. ``total`` in bytes."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, max(total, 1)
        self._done = self._told = 0

    def skip(self, size: int) -> None:
        """Count what was here already."""
        self.advance(size)

    def advance(self, size: int) -> None:
        """Count, and tell when another tenth is full."""
        self._done += size
        tenth = 10 * self._done // self._total
        if tenth > self._told:
            self._told = tenth
            logger.info("%s: %d of %d MB", self._what, self._done // 10**6, self._total // 10**6)


def cache_folder() -> Path:
    """Return the Hugging Face cache, whether or not it is there."""
    return Path(constants.HF_HUB_CACHE).expanduser().resolve()


def repository_folder(repo: str) -> Path:
    """Return where the cache keeps a repository, whether or not it is there."""
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


def check_disk(repo: str, needed: int) -> None:
    """Refuse a download that would fill the disk; ``needed`` in bytes. Raises ``ModelLoadError``."""
    place = cache_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > 0 and needed + MARGIN_BYTES > free:
        raise ModelLoadError(
            f"{repo} needs {needed / 1e9:.2f} GB and {MARGIN_BYTES / 1e9:.2f} GB to spare, and "
            f"{free / 1e9:.2f} GB are free where {place} lies: free some space, remove a model "
            f"(python dev.py model list), or put the cache elsewhere (HF_HOME)"
        )


def download(repo: str, commit: str, files: Sequence[RepositoryFile], progress: Progress) -> Path:
    """Fetch ``files`` of a commit, one after the other, and return the folder they are in. Raises the
    library's errors.
    """
    folder = repository_folder(repo) / "snapshots" / commit
    for file in files:
        if (folder / file.path).is_file():
            progress.skip(file.size)
            continue
        if file.size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
            blob = _fetch_blob(repo, commit, file, progress)
            if not are_symlinks_supported(cache_folder()):
                # The library would leave a second copy of it.
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                blob.replace(folder / file.path)
                continue
        # Places the file in the snapshot; larger ones can be fetched only by the library's own protocol.
        hf_hub_download(repo, file.path, revision=commit)
    return folder


def record_reference(repo: str, reference: str, commit: str) -> None:
    """Let a branch or tag mean a commit for everybody who uses this cache offline."""
    path = repository_folder(repo) / "refs" / reference
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit, encoding="ascii")


def _fetch_blob(repo: str, commit: str, file: RepositoryFile, progress: Progress) -> Path:
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
            progress.skip(file.size)
            return blob
        partial = blob.with_name(f"{etag}{_PARTIAL}")
        _resume(url, partial, file, progress)
        if _SHA256.fullmatch(etag) and _sha256(partial) != etag:
            partial.unlink()
            raise ModelLoadError(f"{file.path} arrived damaged; it will be fetched anew", fatal=False)
        partial.replace(blob)
    return blob


def _resume(url: str, partial: Path, file: RepositoryFile, progress: Progress) -> None:
    here = _size(partial)
    if here > file.size or file.size < RESUMED_FROM_BYTES:
        partial.unlink(missing_ok=True)
        here = 0
    if here:
        logger.info("%s: going on after %d of %d MB", file.path, here // 10**6, file.size // 10**6)
        progress.skip(here)
    with partial.open("ab") as target:
        http_get(
            url,
            target,
            resume_size=here,
            # The key is for the hub: the client drops it when it is sent on to another host.
            headers=build_hf_headers(),
            expected_size=file.size,
            displayed_filename=file.path,
            tqdm_class=cast(Any, lambda **_: _ProgressBar(progress)),
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _ProgressBar:
    """What the library takes for a progress bar of one file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, size: float | None = 1) -> None:
        self._progress.advance(int(size or 0))
