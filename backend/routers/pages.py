"""The pages, and API documentation that works offline."""

import json
from collections.abc import Sequence
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_DOCS_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css"><link rel="icon" href="docs/assets/favicon.png">
</head><body><div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>
"""
_DOCS_OPTIONS = {"url": "openapi.json", "dom_id": "#swagger-ui", "deepLinking": True}


def pages_router(web: Path, suggestions: Sequence[str], *, reports: bool) -> APIRouter:
    """Return the router of ``/docs``, ``/admin``, which holds no data, and ``/page.json``, the chat page's public
    configuration: suggested questions, reports or none.
    """
    router = APIRouter(include_in_schema=False)
    content = {"suggestions": list(suggestions), "reports": reports}

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(_DOCS_PAGE)

    # A file, since the page's policy forbids inline scripts.
    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(f"window.ui = SwaggerUIBundle({json.dumps(_DOCS_OPTIONS)});", media_type="text/javascript")

    @router.get("/admin")
    async def admin() -> FileResponse:
        return FileResponse(web / "admin.html")

    @router.get("/page.json")
    async def page() -> JSONResponse:
        return JSONResponse(content, headers={"Cache-Control": "no-cache"})

    return router


def paths(web: Path) -> list[str]:
    """Return the URL paths of the page's files."""
    files = [f"/{file.relative_to(web).as_posix()}" for file in web.rglob("*") if file.is_file()]
    return ["/", "/admin", *files] if files else []


def mount_pages(app: FastAPI, web: Path) -> None:
    """Serve Swagger's assets, and the page at ``/`` after all routes, so that their 405 responses are kept."""
    app.mount("/docs/assets", StaticFiles(directory=str(_ASSETS)), name="docs-assets")
    if (web / "index.html").is_file():
        app.frontend("/", directory=web, fallback=None)
