"""Each of two processes on one port shows the counts of both."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from free_ports import free_port
from tests.backend_process import NOBODY, answers, launch, wait_until

ROUND = 40


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = ("-m", "uvicorn", "main:app", "--port", str(port), "--workers", "2")
    variables = {"DATABASE_URL": database_url, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts")}
    process = launch(port, subprocess.DEVNULL, command, **variables)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until(lambda: answers(client, "/readyz", 200), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def counted_by_each(folder: Path) -> list[float]:
    """Return how many requests for ``/livez`` each process has counted, from its own file."""
    counts = []
    for file in folder.glob("counter_*.db"):
        values = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        counts.append(
            sum(value for key, value, *_ in values if '"backend_http_requests_total"' in key and "/livez" in key)
        )
    return counts


def scraped(url: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "backend_http_requests_total" and sample.labels["route"] == "/livez"
    )


def test_every_scrape_has_the_counts_of_both(url: str, tmp_path: Path) -> None:
    sent = 0

    def both_have_counted() -> bool:
        nonlocal sent
        # A connection for each, so that the two share them.
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: httpx.get(f"{url}/livez").status_code, range(ROUND))) == {200}
        sent += ROUND
        counts = counted_by_each(tmp_path / "counts")
        return len(counts) == 2 and all(counts)

    wait_until(both_have_counted)
    assert [scraped(url) for _ in range(10)] == [sent] * 10
    text = httpx.get(f"{url}/metrics").text
    assert text.count("backend_build_info{") == 1
    assert f'backend_circuit_state{{url="{NOBODY}"}} ' in text
