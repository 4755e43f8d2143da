"""Names of models on the hub: ``owner/name``, one GGUF file of it, one revision of it."""

import re
from dataclasses import dataclass

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from engines.base import ModelLoadError
from models.artifacts import Format

_NAME = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)"
    r"(?:[:/](?P<file>[A-Za-z0-9][\w./ -]*\.gguf))?"
    r"(?:@(?P<revision>[A-Za-z0-9][\w./-]*))?",
    re.IGNORECASE,
)
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository, one ``.gguf`` file of it, and a revision (branch, tag or commit; ``None`` means the pinned
    one, or else the newest).
    """

    repo: str
    file: str | None = None
    revision: str | None = None

    @property
    def key(self) -> str:
        """The key under which a revision is pinned: each GGUF file of a repository is a separate model."""
        return f"{self.repo}:{self.file}" if self.file else self.repo


@dataclass(frozen=True, slots=True)
class Source:
    """A place on the hub where a model may lie, and the format it would have there. A GGUF source without a file
    means the repository's Q4_K_M.
    """

    name: HubName
    kind: Format


def parse_hub_name(name: str) -> HubName:
    """Read ``owner/name``, ``owner/name:file.gguf``, ``owner/name/file.gguf``, each with or without ``@revision``;
    raises ``ModelLoadError`` for anything else.
    """
    match = _NAME.fullmatch(name)
    if match is None or (match["file"] and "/" not in match["repo"]) or ".." in name:
        raise _no_name(name)
    try:
        validate_repo_id(match["repo"])
    except HFValidationError as error:
        raise _no_name(name) from error
    return HubName(match["repo"], match["file"], match["revision"])


def names_a_hub_file(name: str) -> bool:
    """Whether a name that ends in ``.gguf`` means a file of a repository rather than one on this machine."""
    match = _NAME.fullmatch(name)
    return match is not None and match["file"] is not None and "/" in match["repo"]


def _no_name(name: str) -> ModelLoadError:
    return ModelLoadError(f"{name!r} is neither a file, a folder nor a model's name on the hub")
