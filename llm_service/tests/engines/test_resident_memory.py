import mmap
import sys
from pathlib import Path

import psutil
import pytest

from engines.resident_memory import release_memory


@pytest.mark.skipif(sys.platform != "linux", reason="pages are released on Linux only")
def test_pages_of_a_folders_mapped_files_are_released_and_can_still_be_read(tmp_path: Path) -> None:
    size = 64 * mmap.PAGESIZE
    for name in ("model/weights.bin", "other/weights.bin"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(bytes(range(256)) * (size // 256))
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/weights.bin").symlink_to(tmp_path / "model/weights.bin")
    with (
        (tmp_path / "model/weights.bin").open("rb") as released,
        (tmp_path / "other/weights.bin").open("rb") as kept,
        mmap.mmap(released.fileno(), size, prot=mmap.PROT_READ) as weights,
        mmap.mmap(kept.fileno(), size, prot=mmap.PROT_READ) as others,
    ):
        assert bytes(weights) == bytes(others)

        def resident(folder: str) -> int:
            maps = psutil.Process().memory_maps(grouped=False)
            return sum(region.rss for region in maps if Path(region.path).parent == tmp_path / folder)

        assert resident("model") == size
        release_memory(tmp_path / "snapshot")
        assert resident("model") == 0
        assert resident("other") == size
        assert bytes(weights) == bytes(others)
