"""A second pipeline of the same model, opened when it is first wanted."""

import logging
import threading
from collections.abc import Callable

from engines.hardware import available_memory_bytes
from engines.openvino_lane import Lane

SPARE_BYTES = 512 * 1024**2

logger = logging.getLogger(__name__)


class SecondLane:
    """A pipeline beside the first one, which goes on while this one is being opened.

    It holds the model a second time, ``needed_bytes``; where the memory is not there, or opening
    fails, it stays away (``unavailable``) and the first one does all the work. ``purpose`` is for the
    log.
    """

    def __init__(self, open_lane: Callable[[], Lane], needed_bytes: int, purpose: str) -> None:
        self._open_lane = open_lane
        self._needed_bytes = needed_bytes
        self._purpose = purpose
        self._opening: threading.Thread | None = None
        self.lane: Lane | None = None
        self.unavailable = False

    def open(self) -> None:
        """Begin to open it; the second call and later ones do nothing."""
        if self._opening is None:
            self._opening = threading.Thread(target=self._open, name="second-pipeline", daemon=True)
            self._opening.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for an opening under way."""
        if self._opening is not None:
            self._opening.join(timeout_s)

    def _open(self) -> None:
        needed = self._needed_bytes + SPARE_BYTES
        if available_memory_bytes() < needed:
            logger.warning("no second pipeline for %s: that takes %d MB of free memory", self._purpose, needed // 2**20)
            self.unavailable = True
            return
        try:
            self.lane = self._open_lane()
        except RuntimeError:
            logger.exception("no second pipeline for %s: it could not be opened", self._purpose)
            self.unavailable = True
        else:
            logger.info("a second pipeline for %s is open", self._purpose)
