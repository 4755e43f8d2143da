"""Inter-process lock that the operating system releases when its holder dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devtools.console import Console
from devtools.stopping import Stop


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def only_one(path: Path, what: str, console: Console, stop: Stop) -> Iterator[None]:
    """Holds the lock file `path`; waits, with a message, while another process holds it.

    Raises InterruptedByUser on a stop request while waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        announced = False
        while not _try_lock(file):
            if not announced:
                console.line(f"Another dev.py is busy with {what}; waiting for it (lock file {path}).")
                announced = True
            stop.wait(0.3)
            stop.check()
        try:
            yield
        finally:
            if sys.platform == "win32":
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
