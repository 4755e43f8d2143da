"""While the service is leaving, new model requests are sent elsewhere."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from routers.errors import service_error_body
from services.drain import Drain
from services.errors import Draining

WORK_PATHS = ("/api/llm/generate", "/api/llm/embed")


class DrainGate:
    """Counts model requests under way and refuses new ones while draining."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI
        if scope["type"] != "http" or scope["path"] not in WORK_PATHS:
            await self._app(scope, receive, send)
        elif self._drain.draining:
            error = Draining("the service is stopping")
            body = service_error_body(error, scope["state"]["request_id"])
            await JSONResponse(body, 503, {"Retry-After": "5", "Connection": "close"})(scope, receive, send)
        else:
            with self._drain.request():
                await self._app(scope, receive, send)
