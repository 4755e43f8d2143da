"""Who may use the service."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import is_loopback
from routers.errors import error_response
from routers.problem import Problem

OPEN_PATHS = frozenset({"/livez", "/readyz"})


class ApiKey:
    """Asks for ``Authorization: Bearer KEY`` when a key is set.

    Without a key only connections to a loopback address are served, also when the server was told
    on its command line to listen elsewhere.
    """

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        if self._expected is None:
            message = "the service listens beyond this machine without a key: set LLM_SERVICE_API_KEY"
        else:
            message = "a valid key is needed: Authorization: Bearer KEY"
        response = error_response(scope, Problem(401, "unauthorized", message), {"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if self._expected is None:
            server = scope.get("server")
            return server is None or server[1] is None or is_loopback(server[0])
        sent = Headers(scope=scope).get("authorization", "").encode()
        return hmac.compare_digest(sent, self._expected)
