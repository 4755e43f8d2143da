"""The Hugging Face hub and its cache: what is here, what can be fetched, and how long to wait.

``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are honoured by the library,
which reads them from the environment when it is imported.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from engines.base import ModelLoadError

REACHABLE_WITHIN_S = 3.0
SAFETENSORS_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "tokenizer.model")
OPENVINO_FILES = ("*.json", "*.xml", "*.bin", "*.jinja", "*.txt")

logger = logging.getLogger(__name__)


class ModelHub:
    """Finds and fetches model repositories. One object serves one start."""

    def __init__(self) -> None:
        self._reachable: bool | None = None

    def cached(self, repo: str, files: Sequence[str]) -> Path | None:
        """Return the folder of a repository that has been fetched before."""
        try:
            return Path(huggingface_hub.snapshot_download(repo, allow_patterns=list(files), local_files_only=True))
        except (LocalEntryNotFoundError, FileNotFoundError):
            return None
        except HFValidationError as error:
            raise ModelLoadError(f"{repo!r} is neither a file, a folder nor a model's name on the hub") from error

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

    def fetch(self, repo: str, files: Sequence[str]) -> Path | None:
        """Download a repository (resuming what an earlier attempt left) and return its folder;
        ``None`` when there is no such repository. Raises ``ModelLoadError``.
        """
        logger.info("downloading %s", repo)
        try:
            return Path(huggingface_hub.snapshot_download(repo, allow_patterns=list(files)))
        except GatedRepoError as error:
            raise ModelLoadError(
                f"{repo} needs its licence accepted on the hub, and HUGGINGFACE_API_KEY set"
            ) from error
        except RepositoryNotFoundError:
            return None
        except (httpx2.HTTPError, OSError) as error:
            raise ModelLoadError(
                f"downloading {repo} failed ({type(error).__name__}); it will resume", fatal=False
            ) from error
