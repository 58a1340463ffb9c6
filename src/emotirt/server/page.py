"""The Studio: one static page at ``/`` that tries the server out; its files lie in ``studio/`` beside this module."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""Nothing from elsewhere, nothing inline, no frame around it; a new version of the server shows at once."""
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page.

    Attributes:
        path: where it is served.
        media_type: with its character set.
        content: as it lies in the package.
    """

    path: str
    media_type: str
    content: bytes


def page_files() -> tuple[PageFile, ...]:
    """Read the files of the page; what has another suffix is not served."""
    found = []
    for entry in sorted(files("emotirt.server").joinpath("studio").iterdir(), key=lambda entry: entry.name):
        media_type = MEDIA_TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if media_type is not None:
            path = "/" if entry.name == INDEX else f"/studio/{entry.name}"
            found.append(PageFile(path, media_type, entry.read_bytes()))
    return tuple(found)


PAGE_FILES = page_files()
PAGE_PATHS = tuple(file.path for file in PAGE_FILES)


def page_router() -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)
    for file in PAGE_FILES:
        router.add_api_route(file.path, _answer(file), methods=["GET", "HEAD"], response_class=Response)
    return router


def _answer(file: PageFile) -> Callable[[], Awaitable[Response]]:
    async def show() -> Response:
        return Response(file.content, media_type=file.media_type, headers=HEADERS)

    return show
