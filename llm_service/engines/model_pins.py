"""Which revision of each model is used, written down so that a restart never takes another one.

One JSON file (``pins.json`` in the model cache folder): for every model its commit on the hub and the
files that make it complete. ``python dev.py model pull --update`` moves a pin.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from engines.base import ModelLoadError

FILE_NAME = "pins.json"
_VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pin:
    """One model's revision: ``commit`` is its hash, ``requested`` the branch or tag that led to it,
    ``files`` the paths that make the model complete, ``pinned_at`` an ISO time, ``licence`` the hub's
    name of it.
    """

    commit: str
    requested: str
    files: tuple[str, ...]
    pinned_at: str
    licence: str | None = None


class ModelPins:
    """The pins of one machine. Keys are ``HubName.key``."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE_NAME if folder is not None else None

    def all(self) -> dict[str, Pin]:
        """Read every pin; raises ``ModelLoadError`` when the file is damaged."""
        if self._path is None:
            return {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return {
                key: Pin(
                    entry["commit"],
                    entry["requested"],
                    tuple(entry["files"]),
                    entry["pinned_at"],
                    entry.get("licence"),
                )
                for key, entry in content["models"].items()
            }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelLoadError(
                f"{self._path} cannot be read ({type(error).__name__}), and it says which revision of each model "
                f"is used: mend it, or delete it to pin anew"
            ) from error

    def get(self, key: str) -> Pin | None:
        """Return one model's pin."""
        return self.all().get(key)

    def set(self, key: str, commit: str, requested: str, files: Sequence[str], licence: str | None = None) -> None:
        """Pin a model to a commit; on a folder that cannot be written to, say so and go on."""
        pin = Pin(commit, requested, tuple(files), datetime.now(UTC).isoformat(timespec="seconds"), licence)
        known = self.get(key)
        if known is None or replace(known, pinned_at=pin.pinned_at) != pin:
            self._change(key, pin)

    def remove(self, key: str) -> None:
        """Forget a model's pin."""
        if key in self.all():
            self._change(key, None)

    def _change(self, key: str, pin: Pin | None) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(self._path.with_suffix(".lock")):
                pins = self.all()
                pins.pop(key, None)
                if pin is not None:
                    pins[key] = pin
                draft = self._path.with_suffix(f".{os.getpid()}.draft")
                models = {name: asdict(pins[name]) for name in sorted(pins)}
                draft.write_text(json.dumps({"version": _VERSION, "models": models}, indent=1), encoding="utf-8")
                draft.replace(self._path)
        except OSError as error:
            logger.warning("the revision of %s could not be written down (%s)", key, error.strerror or error)
