"""The Hugging Face hub and its cache: models on this machine, models to download, and time limits.

``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are honoured by the library, which reads them
from the environment when it is imported.
"""

import errno
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, ModelInfo, constants, get_cached_repo_tree, get_token
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engines.base import ModelLoadError
from models.artifacts import Format, folder_format, refuse_own_code
from models.download import LogBar, check_disk, download, missing_bytes, record_reference, repository_folder
from models.names import COMMIT, HubName, Source
from models.remote.listing import (
    FetchPlan,
    RepositoryFile,
    RepositoryListing,
    is_text,
    local_files,
    q4_k_m_file,
    select,
)
from models.remote.pins import ModelPins

REACHABLE_WITHIN_S = 3.0
_WEIGHTS = (".safetensors", ".bin", ".xml", ".gguf")

logger = logging.getLogger(__name__)
# It logs every request, signed addresses of the content hosts included.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class ModelHub:
    """Finds and fetches model repositories. One object serves one start. ``offline`` never asks the hub and pins
    nothing; ``bar`` shows progress (``download.download``).
    """

    def __init__(self, pins: ModelPins, *, offline: bool = False, bar: Any = LogBar) -> None:
        self.pins = pins
        self._offline = offline
        self._bar = bar
        self._reachable: bool | None = False if offline else None

    def cached(self, source: Source) -> Path | None:
        """Return the folder or GGUF file of a model that is here whole, at its pinned revision; else ``None``.

        What is found without a pin is pinned: another program may move the cache's branches.
        """
        kind, name = source.kind, source.name
        if kind == "gguf" and name.file is None:
            name = HubName(name.repo, self._q4_k_m_here(name), name.revision)
        pin = self._pin(name)
        commit = pin[0] if pin else cached_commit(name.repo, name.revision)
        if commit is None:
            return None
        folder = repository_folder(name.repo) / "snapshots" / commit
        here = select(local_files(folder), kind, name.file)
        expected = pin[1] if pin else _expected_files(name, commit, kind, folder)
        complete = here and (kind == "gguf" or folder_format(folder) == kind)
        if not complete or not all((folder / path).is_file() for path in expected):
            return None
        if pin is None and not self._offline:
            self._write_pin(name, commit, expected)
        return folder / name.file if name.file else folder

    def _q4_k_m_here(self, name: HubName) -> str | None:
        """Return the Q4_K_M file of a repository that is pinned or in the cache."""
        pinned = [key.partition(":")[2] for key in self.pins.all() if key.startswith(f"{name.repo}:")]
        commit = cached_commit(name.repo, name.revision)
        folder = repository_folder(name.repo) / "snapshots" / (commit or "none")
        return q4_k_m_file([RepositoryFile(file, 0) for file in pinned]) or q4_k_m_file(local_files(folder))

    @property
    def reachable(self) -> bool:
        """Whether the hub answers; found out once, in at most ``REACHABLE_WITHIN_S``.

        A name server that does not answer can block for much longer than any timeout that a client offers; so the
        attempt runs in a thread that may be left behind.
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
        """List a repository at its pinned revision, or at the newest when that is wanted; ``None`` when there is no
        such repository. Raises ``ModelLoadError``.
        """
        pin = None if newest else self._pin(name)
        revision = pin[0] if pin else name.revision
        try:
            with _translated(name.repo):
                return _listing(HfApi().model_info(name.repo, revision=revision, files_metadata=True), name.repo)
        except RevisionNotFoundError as error:
            raise ModelLoadError(_no_revision(name, revision, pinned=pin is not None)) from error
        except RepositoryNotFoundError:
            return None

    def fetch(self, plan: FetchPlan) -> Path:
        """Download the files of a plan (resuming an earlier attempt), pin the revision, and return the folder or
        GGUF file. A model that needs code of its own is refused before its weights are fetched. Raises
        ``ModelLoadError``.
        """
        name, listing = plan.source.name, plan.listing
        check_disk(name.repo, missing_bytes(name.repo, listing.commit, plan.files))
        logger.info("downloading %s (%d MB) at %s", name.key, plan.total_bytes // 10**6, listing.commit[:12])
        with _translated(name.repo):
            folder = download(name.repo, listing.commit, [file for file in plan.files if is_text(file.path)], self._bar)
            if plan.source.kind == "safetensors":
                refuse_own_code(folder, name.key)
            download(name.repo, listing.commit, plan.files, self._bar)
            if name.revision is None or not COMMIT.fullmatch(name.revision):
                record_reference(name.repo, name.revision or constants.DEFAULT_REVISION, listing.commit)
        self._write_pin(name, listing.commit, [file.path for file in plan.files], listing.licence)
        return folder / name.file if name.file else folder

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


def _listing(info: ModelInfo, repo: str) -> RepositoryListing:
    files = (
        RepositoryFile(entry.rfilename, entry.size or 0, (entry.lfs.sha256 if entry.lfs else entry.blob_id) or "")
        for entry in info.siblings or ()
    )
    card: dict[str, Any] = dict(vars(info.card_data)) if info.card_data else {}
    base = card.get("base_model") or ()
    licence = card.get("license")
    return RepositoryListing(
        repo=repo,
        commit=str(info.sha),
        files=tuple(files),
        licence=str(licence) if licence else None,
        base_models=(base,) if isinstance(base, str) else tuple(map(str, base)),
    )


def _expected_files(name: HubName, commit: str, kind: Format, folder: Path) -> tuple[str, ...]:
    """Return which files belong to the model: by the library's own listing where it left one."""
    try:
        files = [RepositoryFile(entry.path, entry.size) for entry in get_cached_repo_tree(name.repo, revision=commit)]
    except CachedRepoTreeNotFoundError:
        files = local_files(folder)
    # The cache may hold fewer files than the listing: other programs skip texts that this one fetches.
    return tuple(file.path for file in select(files, kind, name.file) if file.path.endswith(_WEIGHTS))


def _no_revision(name: HubName, revision: str | None, *, pinned: bool) -> str:
    if pinned:
        return (
            f"the hub no longer has the pinned revision {str(revision)[:12]} of {name.repo}: "
            f"python dev.py model pull {name.key} --update takes the newest"
        )
    return f"{name.repo} has no revision {revision}"


@contextmanager
def _translated(repo: str) -> Iterator[None]:
    """Turn the library's errors into ``ModelLoadError``; a repository or revision that is not there stays itself."""
    try:
        yield
    except GatedRepoError as error:
        licence = f"{repo} is gated: accept its licence at {constants.ENDPOINT}/{repo}"
        key = (
            " with the account that HUGGINGFACE_API_KEY belongs to" if get_token() else ", then set HUGGINGFACE_API_KEY"
        )
        raise ModelLoadError(licence + key) from error
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            refused = f"the hub refuses the key for {repo} (HTTP {status}): check HUGGINGFACE_API_KEY"
            raise ModelLoadError(refused) from error
        raise _failed(repo, f"HTTP {status}") from error
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            full = f"the disk became full while {repo} was fetched: free some space, then fetch it again"
            raise ModelLoadError(full) from error
        raise _failed(repo, (error.strerror if isinstance(error, OSError) else None) or type(error).__name__) from error


def _failed(repo: str, why: str) -> ModelLoadError:
    return ModelLoadError(f"downloading {repo} failed ({why}); the next attempt resumes", fatal=False)
