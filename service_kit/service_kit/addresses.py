"""Addresses that a server listens on, and those of other servers."""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


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


def is_http_address(url: str) -> bool:
    """Whether paths can be appended to ``url``: http or https, a host, perhaps a valid port, no query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    complete = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return complete and not any(character in "?#" or character.isspace() for character in url)
