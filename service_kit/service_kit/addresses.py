"""Addresses that a server listens on."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; ``localhost`` and its subdomains count."""
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def is_ip_address(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    return _address(host) is not None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
