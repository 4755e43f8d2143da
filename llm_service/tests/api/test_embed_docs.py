"""The Python of docs/embedding-compression.md runs."""

import re
from pathlib import Path
from typing import Any

from tests.api.service_process import APP_DIR, ServiceProcess

ROOT = APP_DIR.parent
PAGE = ROOT / "docs" / "embedding-compression.md"


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"no {language} in {page.name}"
    return found


def test_the_python_of_the_page_reads_real_answers(service: ServiceProcess) -> None:
    names: dict[str, Any] = {"URL": f"http://127.0.0.1:{service.port}"}
    for number, block in enumerate(blocks(PAGE, "python")):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert names["packed"].shape == (3, 48)
    assert names["from_int8"].shape == (3, 384)
