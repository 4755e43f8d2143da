"""Debian's Prometheus with deploy/prometheus, watching services that a test has started."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from conftest import ROOT, wait_until
from free_ports import free_port

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
CONFIGURATION = ROOT / "deploy" / "prometheus"
_INTERVALS = {"scrape_interval: 15s": "1s", "scrape_timeout: 5s": "1s", "evaluation_interval: 15s": "1s"}


def hurried(folder: Path, targets: Mapping[str, str], keys: Mapping[str, str]) -> Path:
    """A copy of the configuration that asks every second and waits a second before it tells, not a minute.

    ``targets`` holds the address of each job, ``keys`` its key. Returns the copy's prometheus.yml.
    """
    text = (CONFIGURATION / "prometheus.yml").read_text(encoding="utf-8")
    for line, interval in _INTERVALS.items():
        assert line in text
        text = text.replace(line, f"{line.split(':')[0]}: {interval}")
    rules = (CONFIGURATION / "alerts.yml").read_text(encoding="utf-8")
    for name in ("targets", "keys"):
        (folder / name).mkdir()
    (folder / "alerts.yml").write_text(re.sub(r"\bfor: \d+m\b", "for: 1s", rules), encoding="utf-8")
    for job, address in targets.items():
        (folder / "targets" / f"{job}.yml").write_text(f'- targets: ["{address}"]\n', encoding="utf-8")
    for job, key in keys.items():
        (folder / "keys" / job).write_text(key, encoding="utf-8")
    path = folder / "prometheus.yml"
    path.write_text(text, encoding="utf-8")
    return path


class Prometheus:
    """A running Prometheus."""

    def __init__(self, folder: Path, configuration: Path) -> None:
        assert PROMETHEUS is not None
        self._log = folder / "prometheus.log"
        port = free_port()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    PROMETHEUS,
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)
        wait_until(self._answers, "Prometheus answers")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        response = self._client.get("/query", params={"query": expression})
        assert response.status_code == 200, f"{expression}: {response.text}"
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._client.get("/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(30)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
        try:
            return self._client.get("/status/buildinfo").status_code == 200
        except httpx.TransportError:
            return False
