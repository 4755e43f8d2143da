"""Who may ask: a bearer key where one is set; where none is, only this machine."""

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import is_loopback
from middleware.errors import send_error

_OPEN_PATHS = frozenset({"/livez", "/readyz"})


class ApiKeyMiddleware:
    """Guards everything but the health probes and the page with its static files.

    The page holds no data; what it asks for under ``/api`` needs the key.
    """

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._expected = api_key.encode() if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and _is_guarded(scope["path"]) and not self._is_welcome(scope):
            await send_error(
                scope, send, 401, "unauthorized", "a valid API key is needed", {"www-authenticate": "Bearer"}
            )
            return
        await self._app(scope, receive, send)

    def _is_welcome(self, scope: Scope) -> bool:
        if self._expected is None:
            # The settings refuse to open a port without a key; "uvicorn main:app --host 0.0.0.0" does not ask them.
            server = scope.get("server")
            return server is None or not _is_address(server[0]) or is_loopback(server[0])
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        return hmac.compare_digest(key.strip().encode("latin-1"), self._expected) and scheme.lower() == "bearer"


def _is_guarded(path: str) -> bool:
    guarded = path.startswith(("/api/", "/docs")) or path in ("/health", "/openapi.json", "/metrics")
    return guarded and path not in _OPEN_PATHS


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
