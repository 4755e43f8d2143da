"""Middleware that asks for an API key."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from service_kit.addresses import is_ip_address, is_loopback
from service_kit.errors import Problem, Respond, error_response
from service_kit.keys import KeyRing, KeyScope
from service_kit.observability.records import record_of

OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""Health probes: no key, any host."""
Policy = Callable[[str, str], KeyScope | None]
"""Scope that a method and a path need; ``None``: no key is needed."""


class ApiKeys:
    """Serves requests whose key has the scope they need: else 401 without a key, 403 with one of a smaller scope.

    Without configured keys only connections to a loopback address are served, also when the server's command line
    says otherwise than the settings.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, policy: Policy, respond: Respond = error_response) -> None:
        self._app = app
        self._keys = keys
        self._policy = policy
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        problem, challenge = refusal
        await self._respond(scope, problem, {"WWW-Authenticate": challenge})(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[Problem, str] | None:
        needed = None if scope["path"] in OPEN_PATHS else self._policy(scope["method"], scope["path"])
        if needed is None:
            return None
        if not self._keys.required:
            if _arrived_on_loopback(scope):
                return None
            message = "this server listens beyond its own machine without an API key; set one"
            return Problem(401, "unauthorized", message), "Bearer"
        key = self._keys.find(value for name, value in scope["headers"] if name == b"authorization")
        if key is None:
            return Problem(401, "unauthorized", "a valid API key is needed: Authorization: Bearer KEY"), "Bearer"
        record_of(scope).key = key.name
        if needed == "admin" and key.scope != "admin":
            return Problem(403, "forbidden", "this API key lacks the scope admin"), 'Bearer error="insufficient_scope"'
        return None


def _arrived_on_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    # No address: a Unix socket, or a call inside the process.
    return server is None or server[1] is None or not is_ip_address(server[0]) or is_loopback(server[0])
