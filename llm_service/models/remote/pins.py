"""Pinned revisions: which commit of each model is used, so that a restart never takes another one.

One JSON file (``pins.json`` in the model cache folder): for every model its commit on the hub and the files that
make it complete. ``python dev.py model pull --update`` moves a pin.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from engines.base import ModelLoadError
from models.files import replacing

FILE_NAME = "pins.json"
_VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pin:
    """One model's revision: ``commit`` is its hash, ``requested`` the branch or tag that led to it, ``files`` the
    paths that make the model complete, ``pinned_at`` an ISO time, ``licence`` the hub's name of it.
    """

    commit: str
    requested: str
    files: tuple[str, ...]
    pinned_at: str
    licence: str | None = None


class ModelPins:
    """The pins of one machine. Keys are ``HubName.key``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def all(self) -> dict[str, Pin]:
        """Read every pin; raises ``ModelLoadError`` when the file is damaged."""
        try:
            models = json.loads(self._path.read_text(encoding="utf-8"))["models"]
            return {key: Pin(**entry | {"files": tuple(entry["files"])}) for key, entry in models.items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelLoadError(
                f"{self._path} cannot be read ({type(error).__name__}); it holds the revision of each model: repair "
                f"it, or delete it to pin again"
            ) from error

    def get(self, key: str) -> Pin | None:
        """Return one model's pin."""
        return self.all().get(key)

    def set(self, key: str, commit: str, requested: str, files: Sequence[str], licence: str | None = None) -> None:
        """Pin a model to a commit. A folder that cannot be written to is logged and no error."""
        pin = Pin(commit, requested, tuple(files), datetime.now(UTC).isoformat(timespec="seconds"), licence)
        known = self.get(key)
        if known is not None and replace(known, pinned_at=pin.pinned_at) == pin:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(self._path.with_suffix(".lock")), replacing(self._path) as draft:
                models = {name: asdict(entry) for name, entry in sorted((self.all() | {key: pin}).items())}
                draft.write_text(json.dumps({"version": _VERSION, "models": models}, indent=1), encoding="utf-8")
        except OSError as error:
            logger.warning("the revision of %s could not be saved (%s)", key, error.strerror or error)
