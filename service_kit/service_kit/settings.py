"""Parts of a settings class that both apps need."""

import ipaddress
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; ``localhost`` and its subdomains count."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_ip_address(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def split_list(value: Any) -> Any:
    """Split a comma-separated text, or read a JSON list; other values pass unchanged."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def otel_environment(files: Iterable[Path]) -> dict[str, str]:
    """Return the ``OTEL_…`` variables of ``.env`` files: OpenTelemetry's SDK reads only the process's environment."""
    found: dict[str, str] = {}
    for path in files:
        values = dotenv_values(path, encoding="utf-8-sig")
        found |= {name: value for name, value in values.items() if name.startswith("OTEL_") and value}
    return found
