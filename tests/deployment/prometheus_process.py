"""Debian's Prometheus with deploy/prometheus, watching services that a test has started."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app_process import Program
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


class Prometheus(Program):
    """A running Prometheus."""

    def __init__(self, folder: Path, configuration: Path) -> None:
        port = free_port()
        files = [f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"]
        super().__init__("Prometheus", [str(PROMETHEUS), *files, f"--web.listen-address=127.0.0.1:{port}"], port)
        self.start()
        wait_until(lambda: self.answers("/api/v1/status/buildinfo"), "Prometheus answers")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        response = self.client.get("/api/v1/query", params={"query": expression})
        assert response.status_code == 200, f"{expression}: {response.text}"
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self.client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
