"""The page that shows the API: our own, small, and nothing on it comes from another host.

FastAPI's own pages load Swagger UI or ReDoc from a content delivery network, which then runs with the operator's token;
the packages that bundle them are megabytes of script and seldom renewed. This one reads ``/openapi.json``, lists what
there is and lets it be tried.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

__all__ = ["page_router"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


def page_router() -> APIRouter:
    """Return the routes of the page."""
    router = APIRouter(include_in_schema=False)
    folder = files("pbx.web") / "static"
    assets = {
        name: ((folder / name).read_bytes(), _KINDS[name.rpartition(".")[2]])
        for name in ("docs.html", "docs.js", "docs.css")
    }

    def serve(name: str) -> Response:
        body, kind = assets[name]
        return Response(body, media_type=f"{kind}; charset=utf-8", headers={"Content-Security-Policy": _POLICY})

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/docs")

    @router.get("/docs")
    async def page() -> Response:
        return serve("docs.html")

    @router.get("/docs/docs.js")
    async def script() -> Response:
        return serve("docs.js")

    @router.get("/docs/docs.css")
    async def style() -> Response:
        return serve("docs.css")

    return router
