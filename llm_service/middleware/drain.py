"""Refuses new model requests while the service drains."""

from starlette.types import ASGIApp, Receive, Scope, Send

from engines.errors import Draining
from routers.errors import error_response, problem_of
from services.drain import Drain


class DrainGate:
    """Counts running model requests and refuses new ones while draining."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        # All requests that need a model are POST.
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif self._drain.draining:
            error = Draining("the service is stopping")
            response = error_response(scope, problem_of(error), {"Retry-After": "5", "Connection": "close"})
            await response(scope, receive, send)
        else:
            with self._drain.request():
                await self._app(scope, receive, send)
