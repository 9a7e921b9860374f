"""`/ui`: the live page, static files of this package. What it shows comes from the public API."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

import inferq.proxy

_FOLDER = Path(inferq.proxy.__file__).parent / "ui"
_PAGE = "index.html"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# no inline script or style, no other host, no frame around it; blob: is for thumbnails of data with a key
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, but asked for again by its ETag: a new version is seen at once
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page.

    Attributes:
        content: Its bytes.
        media_type: What they are.
        etag: Changes with them.
    """

    content: bytes
    media_type: str
    etag: str


def add_live_page(app: FastAPI, mode: Literal["read-only", "on"]) -> None:
    """Adds the page and its files to an application.

    Args:
        app: The application.
        mode: `read-only`: the page shows nothing with which jobs can be submitted or changed.
    """
    files = _read_files(mode)

    async def serve_page(request: Request) -> Response:
        return _serve(request, files[_PAGE])

    async def serve_file(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return _serve(request, file)

    app.add_route("/ui", serve_page, include_in_schema=False)
    app.add_route("/ui/{name}", serve_file, include_in_schema=False)


def _read_files(mode: str) -> dict[str, PageFile]:
    """Reads all files of the page, by name. The page itself is told the mode and the version."""
    files = {}
    for path in _FOLDER.iterdir():
        content = path.read_bytes()
        if path.name == _PAGE:
            content = content.replace(b'data-mode="on"', f'data-mode="{mode}"'.encode())
            content = content.replace(b'data-version=""', f'data-version="{version("inferq")}"'.encode())
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        files[path.name] = PageFile(content, _MEDIA_TYPES[path.suffix], etag)
    return files


def _serve(request: Request, file: PageFile) -> Response:
    headers = {**_HEADERS, "ETag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
