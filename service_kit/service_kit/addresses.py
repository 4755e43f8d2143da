"""Addresses that a server listens on, and those of other servers."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; ``localhost`` and its subdomains count."""
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def is_ip_address(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    return _address(host) is not None


def is_http_address(url: str) -> bool:
    """Whether paths can be appended to ``url``: http or https, a host, perhaps a valid port, no query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    complete = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return complete and not any(character in "?#" or character.isspace() for character in url)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
