"""Requests from pages of other sites.

A browser lets any page send some requests to any server without asking it first: a POST of text, and a
WebSocket. Here they are refused. They are recognised by headers that browsers add (`Origin`,
`Sec-Fetch-Site`); other programs do not send them.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferq.proxy.http import problems

_BROWSER_HEADERS = (b"origin", b"sec-fetch-site")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_METHODS = "GET, HEAD, POST, PUT, DELETE"
_EXPOSED = (
    "Location, Retry-After, Preference-Applied, WWW-Authenticate, X-Request-ID, Traceparent, ETag, "
    "Accept-Ranges, Content-Range, Content-Disposition, Inference-Header-Content-Length, "
    "Inferq-Job-Id, Inferq-Made-By"
)
_PREFLIGHT_SECONDS = 600


class CrossSite:
    """Refuses requests from pages of other sites, except from allowed origins, which may read answers (CORS).

    Args:
        app: The next ASGI application.
        allowed: Allowed origins, `*` for all.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self.app = app
        self._allowed = frozenset(allowed) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request, or answers it with 403."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if not any(name in _BROWSER_HEADERS for name, _ in scope["headers"]):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and self._is_allowed(origin):
            return await self._serve_allowed(origin, scope, receive, send)
        if _is_foreign(origin, headers) and scope.get("method") not in _SAFE:
            said = f"The page {origin[:200]!r}" if origin else "A page of another site"
            refusal = problems.Refusal(
                403,
                f"{said} may not use this service. Its operator can allow it (INFERQ_ALLOWED_ORIGINS).",
            )
            return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)

    def _is_allowed(self, origin: str) -> bool:
        return "*" in self._allowed or origin.lower() in self._allowed

    async def _serve_allowed(self, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = _EXPOSED
                headers.add_vary_header("Origin")
            await send(message)

        wanted = Headers(scope=scope)
        if scope.get("method") == "OPTIONS" and "access-control-request-method" in wanted:
            permission = {
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": wanted.get("access-control-request-headers", ""),
                "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
            }
            return await Response(status_code=204, headers=permission)(scope, receive, send_with_cors)
        return await self.app(scope, receive, send_with_cors)


def _is_foreign(origin: str | None, headers: Headers) -> bool:
    if origin is None:
        return headers.get("sec-fetch-site") in ("cross-site", "same-site")
    scheme = origin.partition(":")[0]
    sender = _parse_authority(origin, scheme)
    # a reverse proxy may replace Host; no page can set X-Forwarded-Host without a preflight request
    return sender is None or sender not in {
        _parse_authority(f"//{host}", scheme) for host in _read_hosts(headers)
    }


def _read_hosts(headers: Headers) -> Iterator[str]:
    yield headers.get("host", "")
    for value in headers.getlist("x-forwarded-host"):
        yield from (host.strip() for host in value.split(","))


def _parse_authority(url: str, scheme: str) -> tuple[str | None, int | None] | None:
    """Host and port; None where there is no host, as in the origin `null`."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS.get(scheme)) if parts.hostname else None
    except ValueError:
        return None
