"""Memory that loading a model leaves behind in a process. OpenVINO maps the weights file, and packs the weights into
memory of its own.
"""

import ctypes
import logging
import mmap
import sys
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)


def release_memory(folder: Path) -> None:
    """Give back free memory, and the pages of the files in ``folder`` that are mapped into this process. Linux only.

    Mapped pages stay in the system's page cache, and a page that is read again is mapped again: few are, after a
    warm-up.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Files of the hub's cache are links.
    files = {str(path.resolve()) for path in folder.iterdir()}
    for region in psutil.Process().memory_maps(grouped=False):
        if region.path not in files or "w" in region.perms:
            continue
        begin, end = (int(address, 16) for address in region.addr.split("-"))
        if libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED):
            logger.warning("mapped pages are kept: error %d", ctypes.get_errno())
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
