"""What this machine offers, found out without importing a model library."""

import ctypes
import os
import sys
from pathlib import Path

import psutil

_PF_AVX512F_INSTRUCTIONS_AVAILABLE = 41
"""Argument of Windows' ``IsProcessorFeaturePresent`` (winnt.h)."""


CPU_INFO = Path("/proc/cpuinfo")


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
    """Whether the processor has AVX-512 (every one with AMX does). Asks /proc/cpuinfo on Linux, the kernel's
    feature call on Windows, sysctl on macOS, where Apple's processors know no such entry.
    """
    if sys.platform == "win32":
        return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(_PF_AVX512F_INSTRUCTIONS_AVAILABLE))
    if sys.platform == "darwin":
        value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
        asked = ctypes.CDLL(None).sysctlbyname(
            b"hw.optional.avx512f", ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
        )
        return bool(asked == 0 and value.value)
    return "avx512f" in _linux_cpu_flags()


def _linux_cpu_flags() -> frozenset[str]:
    try:
        lines = CPU_INFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


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
