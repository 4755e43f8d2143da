"""Memory that processes hold."""

import contextlib
from collections.abc import Mapping
from typing import Any

import psutil


def resident_bytes(pids: Mapping[Any, int | None]) -> dict[Any, int | None]:
    """Return the resident memory of processes and of what they started, by the key of each; blocks for milliseconds.

    Files mapped into memory count: pages of weights that the system may drop.
    """
    return {key: _tree(pid) if pid is not None else None for key, pid in pids.items()}


def own_resident_bytes() -> int:
    """Return the resident memory of this process without those it started."""
    return int(psutil.Process().memory_info().rss)


def _tree(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        total = int(process.memory_info().rss)
        children = process.children(recursive=True)
    except psutil.Error:
        return None  # it has just ended
    for child in children:
        with contextlib.suppress(psutil.Error):
            total += int(child.memory_info().rss)
    return total
