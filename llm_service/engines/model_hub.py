"""The Hugging Face hub and its cache: what is here, what can be fetched, and how long to wait.

``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are honoured by the library,
which reads them from the environment when it is imported.
"""

import errno
import logging
import threading
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_cached_repo_tree, get_token, hf_hub_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engines.base import ModelLoadError
from engines.model_artifacts import Format, folder_format
from engines.model_download import (
    LogProgress,
    Progress,
    check_disk,
    download,
    missing_bytes,
    record_reference,
    repository_folder,
)
from engines.model_listing import RepositoryFile, RepositoryListing, select
from engines.model_names import COMMIT, HubName
from engines.model_pins import ModelPins

REACHABLE_WITHIN_S = 3.0

logger = logging.getLogger(__name__)
# It logs every request, signed addresses of the content hosts included.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class ModelHub:
    """Finds and fetches model repositories. One object serves one start. ``offline`` never asks the hub,
    and pins nothing.
    """

    def __init__(self, pins: ModelPins | None = None, *, offline: bool = False) -> None:
        self.pins = pins or ModelPins(None)
        self._offline = offline
        self._reachable: bool | None = False if offline else None

    def cached(self, name: HubName, kind: Format) -> Path | None:
        """Return the folder of a model that is here whole, at its pinned revision; ``None`` otherwise.

        What is found without a pin is pinned: another program may move the cache's branches.
        """
        pin = self._pin(name)
        commit = pin[0] if pin else cached_commit(name.repo, name.revision)
        if commit is None:
            return None
        folder = repository_folder(name.repo) / "snapshots" / commit
        if not folder.is_dir():
            return None
        expected = pin[1] if pin else _expected_files(name, commit, kind, folder)
        here = select(local_files(folder), kind, name.file)
        complete = here and (kind == "gguf" or folder_format(folder) == kind)
        if not complete or not all((folder / path).is_file() for path in expected):
            return None
        if pin is None and not self._offline:
            self._write_pin(name, commit, expected)
        return folder

    @property
    def reachable(self) -> bool:
        """Whether the hub answers; found out once, in at most ``REACHABLE_WITHIN_S``.

        A name server that does not answer can block for much longer than any timeout that a client
        offers; so the attempt runs in a thread that may be left behind.
        """
        if self._reachable is None:
            self._reachable = False
            if not constants.HF_HUB_OFFLINE:
                attempt = threading.Thread(target=self._knock, name="hub-reachable", daemon=True)
                attempt.start()
                attempt.join(REACHABLE_WITHIN_S)
        return self._reachable

    def _knock(self) -> None:
        try:
            httpx2.head(constants.ENDPOINT, timeout=REACHABLE_WITHIN_S)
        except httpx2.HTTPError:
            return
        self._reachable = True

    def look_up(self, name: HubName, *, newest: bool = False) -> RepositoryListing | None:
        """List a repository at its pinned revision, or at the newest when that is wanted; ``None`` when
        there is no such repository. Raises ``ModelLoadError``.
        """
        pin = None if newest else self._pin(name)
        revision = pin[0] if pin else name.revision
        try:
            info = HfApi().model_info(name.repo, revision=revision, files_metadata=True)
        except RevisionNotFoundError as error:
            raise ModelLoadError(_no_revision(name, revision, pinned=pin is not None)) from error
        except GatedRepoError as error:
            raise ModelLoadError(_gated(name.repo)) from error
        except RepositoryNotFoundError:
            return None
        except (httpx2.HTTPError, OSError) as error:
            raise _failed(name.repo, error) from error
        files = (
            RepositoryFile(entry.rfilename, entry.size or 0, (entry.lfs.sha256 if entry.lfs else entry.blob_id) or "")
            for entry in info.siblings or ()
        )
        licence = info.card_data.get("license") if info.card_data else None
        return RepositoryListing(name.repo, str(info.sha), tuple(files), str(licence) if licence else None)

    def fetch(
        self,
        name: HubName,
        listing: RepositoryListing,
        files: Sequence[RepositoryFile],
        progress: Progress | None = None,
    ) -> Path:
        """Download files of a repository (going on where an earlier attempt ended), pin its revision, and
        return its folder. Raises ``ModelLoadError``.
        """
        total = sum(file.size for file in files)
        check_disk(name.repo, missing_bytes(name.repo, listing.commit, files))
        logger.info("downloading %s (%d MB) at %s", name.key, total // 10**6, listing.commit[:12])
        try:
            folder = download(name.repo, listing.commit, files, progress or LogProgress(name.key, total))
            if name.revision is None or not COMMIT.fullmatch(name.revision):
                record_reference(name.repo, name.revision or constants.DEFAULT_REVISION, listing.commit)
        except GatedRepoError as error:
            raise ModelLoadError(_gated(name.repo)) from error
        except (httpx2.HTTPError, OSError) as error:
            raise _failed(name.repo, error) from error
        self._write_pin(name, listing.commit, [file.path for file in files], listing.licence)
        return folder

    def peek(self, listing: RepositoryListing, path: str, scratch: Path) -> Path:
        """Fetch one small file to a folder outside the cache. Raises ``ModelLoadError``."""
        try:
            return Path(hf_hub_download(listing.repo, path, revision=listing.commit, cache_dir=scratch))
        except GatedRepoError as error:
            raise ModelLoadError(_gated(listing.repo)) from error
        except (httpx2.HTTPError, OSError) as error:
            raise _failed(listing.repo, error) from error

    def _pin(self, name: HubName) -> tuple[str, tuple[str, ...]] | None:
        """Return the pinned commit and its files; a revision in the name that is another one wins."""
        pin = self.pins.get(name.key)
        if pin is None or (name.revision is not None and name.revision not in (pin.requested, pin.commit)):
            return None
        return pin.commit, pin.files

    def _write_pin(self, name: HubName, commit: str, files: Sequence[str], licence: str | None = None) -> None:
        self.pins.set(name.key, commit, name.revision or constants.DEFAULT_REVISION, sorted(files), licence)


def cached_commit(repo: str, revision: str | None = None) -> str | None:
    """Return the commit that a branch, tag or commit means in the cache; ``None`` when it is unknown there."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    reference = repository_folder(repo) / "refs" / (revision or constants.DEFAULT_REVISION)
    try:
        commit = reference.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def local_files(folder: Path) -> list[RepositoryFile]:
    """List the files of a model folder as a repository would."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [RepositoryFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]


def _expected_files(name: HubName, commit: str, kind: Format, folder: Path) -> tuple[str, ...]:
    """Return which files belong to the model: by the library's own listing where it left one."""
    try:
        tree = get_cached_repo_tree(name.repo, revision=commit)
        files = [RepositoryFile(entry.path, entry.size) for entry in tree]
    except CachedRepoTreeNotFoundError:
        files = local_files(folder)
    # A listing holds everything; other programs leave out texts that we would take along.
    weights = (".safetensors", ".bin", ".xml", ".gguf")
    return tuple(file.path for file in select(files, kind, name.file) if file.path.endswith(weights))


def _gated(repo: str) -> str:
    page = f"{constants.ENDPOINT}/{repo}"
    if get_token():
        return f"{repo} is gated: accept its licence at {page} with the account that HUGGINGFACE_API_KEY belongs to"
    return f"{repo} is gated: accept its licence at {page}, then set HUGGINGFACE_API_KEY"


def _no_revision(name: HubName, revision: str | None, *, pinned: bool) -> str:
    if pinned:
        return (
            f"the hub no longer has the pinned revision {str(revision)[:12]} of {name.repo}: "
            f"python dev.py model pull {name.key} --update takes the newest"
        )
    return f"{name.repo} has no revision {revision}"


def _failed(repo: str, error: Exception) -> ModelLoadError:
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ModelLoadError(f"the hub refuses the key for {repo} (HTTP {status}): check HUGGINGFACE_API_KEY")
        what = f"HTTP {status}"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ModelLoadError(f"the disk became full while {repo} was fetched: free some space, then fetch it again")
    else:
        what = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return ModelLoadError(f"downloading {repo} failed ({what}); the next attempt goes on from there", fatal=False)
