"""Hardware of this machine, detected without importing a model library."""

import ctypes
import os
from pathlib import Path

import psutil
from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]


def cuda_device_count() -> int:
    """Return how many CUDA devices the driver offers; 0 without a driver."""
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def has_avx512() -> bool:
    """Whether the processor has AVX-512 (every one with AMX does); numpy asks it on every platform."""
    return bool(__cpu_features__.get("AVX512F"))


def memory_bytes() -> int:
    """Return the memory of the machine, or of its container where that is less, in bytes."""
    total: int = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def available_memory_bytes() -> int:
    """Return the memory that can be taken without swapping, in bytes."""
    available: int = psutil.virtual_memory().available
    own: int = psutil.Process().memory_info().rss
    return min(available, memory_bytes() - own)
