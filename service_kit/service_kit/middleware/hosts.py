"""Middleware that checks ``Host`` and ``Origin``: pages of other sites cannot use this service through a browser.

A page that makes its own name point to this machine (DNS rebinding) sends that name as ``Host``. A page of another
site that writes sends its own as ``Origin``.
"""

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from service_kit.addresses import is_ip_address, is_loopback
from service_kit.errors import Problem, Respond, error_response
from service_kit.middleware.access import OPEN_PATHS

ANY = "*"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


def trusted_names(configured: Collection[str], listening_on: str, *, has_keys: bool) -> frozenset[str]:
    """Return the host names of a server beside loopback's.

    With API keys and no ``TRUSTED_HOSTS`` any name is accepted: a foreign page has no key.
    """
    if configured:
        return frozenset(name.lower() for name in (*configured, listening_on))
    return frozenset({ANY}) if has_keys else frozenset({listening_on.lower()})


class TrustedHosts:
    """Answers 400 to a foreign ``Host``, and 403 to a request other than GET, HEAD and OPTIONS of a foreign ``Origin``.

    Loopback names and IP addresses are always accepted as ``Host``: an address cannot be rebound.

    Args:
        names: further host names; ``*.example.org`` for all below one, ``*`` for any.
        origins: origins of other sites whose pages may write (``CORS_ORIGINS``); ``*`` for any.

    """

    def __init__(
        self, app: ASGIApp, *, names: Collection[str], origins: Collection[str], respond: Respond = error_response
    ) -> None:
        self._app = app
        self._names = frozenset(names)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await self._respond(scope, problem, None)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        if scope["path"] in OPEN_PATHS:
            return None
        # HTTP/1.0 clients may send no Host; browsers always do.
        hosts = [value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == b"host"]
        if not all(self._serves(_name(host)) for host in hosts if host):
            return Problem(400, "untrusted_host", "this host name is not accepted (TRUSTED_HOSTS)")
        if scope["method"] in _READS:
            return None
        for name, value in scope["headers"]:
            if name == b"origin" and not self._may_write(value.decode("latin-1").strip().lower(), hosts):
                return Problem(403, "untrusted_origin", "pages of this origin may not write (CORS_ORIGINS)")
        return None

    def _serves(self, name: str) -> bool:
        return is_ip_address(name) or is_loopback(name) or self._is_named(name)

    def _is_named(self, name: str) -> bool:
        if ANY in self._names or name in self._names:
            return True
        return any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in self._names)

    def _may_write(self, origin: str, hosts: list[str]) -> bool:
        if ANY in self._origins or origin.rstrip("/") in self._origins:
            return True
        scheme, _, address = origin.partition("://")
        if scheme not in _PORTS or not address:
            return ANY in self._names  # "null", browser extensions
        # A proxy may replace Host, but not the name under which the page was loaded.
        same = any(_with_port(address, scheme) == _with_port(host, scheme) for host in hosts)
        return same or self._is_named(_name(address))


def _name(host: str) -> str:
    """Return a ``Host`` header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def _with_port(host: str, scheme: str) -> str:
    name = _name(host)
    port = host[len(name) :].lstrip(".:") or _PORTS[scheme]
    return f"{name}:{port}"
