"""The page for people, at ``/`` for browsers; every other client finds JSON there."""

from pathlib import Path

from service_kit.middleware.security_headers import SecurityHeaders
from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = "/page/"
_WEB = Path(__file__).resolve().parents[1] / "web"


def page_files() -> ASGIApp:
    """Return the app that serves the page's files below ``FOLDER``."""
    return SecurityHeaders(StaticFiles(directory=_WEB))


class PageAtRoot:
    """Gives ``/`` to browsers as the page's first file. Stands before the keys: files hold no data, the JSON does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return

        async def send_varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
            await send(message)

        if "text/html" in Headers(scope=scope).get("accept", ""):
            path = f"{FOLDER}index.html"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send_varied)
