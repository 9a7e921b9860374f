"""The fast path of an application: which requests may skip the framework, and when none may.

It has two parts. `FastRouteMiddleware` serves the fast routes on any ASGI server, without the framework's
router. `FastProtocol` serves the simplest of their requests without ASGI. Both ask `FastPath` first, which is
off while the application carries middleware that it does not know: that must see every request.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from inferq.observability.observer import RequestObserver
from inferq.proxy.http.access_log import AccessLog
from inferq.proxy.http.auth import Authenticator
from inferq.proxy.transport.fast_route import FastRoute, FastRouteTable, ProtocolRoute, WaitingRoute

_MOST_BODY_BYTES = 65536
"""A longer body for a `ProtocolRoute` is read through ASGI, no faster than it is used."""
_PLAIN_PATH = re.compile(rb'(/[^?%#]{0,4000})(?:\?([!"$-~]{0,4000}))?')
_MOST_HEADER_BYTES = 32768
"""Longer headers go through ASGI, where they are refused if they are too long."""
_OTHER_HEADERS = frozenset(
    {
        *(b"expect", b"prefer", b"transfer-encoding", b"upgrade", b"content-encoding"),
        *(b"origin", b"sec-fetch-site"),
    }
)
"""A request with one of these headers goes through ASGI."""

_FRAMEWORK_MODULES = ("fastapi.", "starlette.middleware.errors", "starlette.middleware.exceptions")
"""Of the middleware that FastAPI itself puts around every application."""

log = structlog.get_logger()


class FastPath:
    """The fast path of one application.

    Args:
        app: The application, with all its own middleware.
        routes: Its fast routes.
        authenticator: Finds whose API key a request has; None where none is needed.
        max_body_bytes: Longest body that the application accepts.
        observer: Is told of each request that does not go through ASGI.
        access_log: Logs these; None for none.

    Attributes:
        app: The application.
        table: Finds its fast routes.
    """

    def __init__(
        self,
        app: FastAPI,
        routes: Iterable[FastRoute],
        authenticator: Authenticator | None,
        max_body_bytes: int,
        observer: RequestObserver,
        access_log: AccessLog | None = None,
    ) -> None:
        app.user_middleware.append(Middleware(FastRouteMiddleware, fast_path=self))  # the innermost one
        self.table = FastRouteTable(routes)
        self.observer = observer
        self.access_log = access_log
        self.app = app
        self._authenticator = authenticator
        self._limits = {"GET": 0, "POST": max_body_bytes}
        self._known_middleware = list(app.user_middleware)
        self._checked_stack: ASGIApp | None = None
        self._is_on = False

    @property
    def is_on(self) -> bool:
        """Whether the application carries no middleware but its own. If it does, that is logged once."""
        stack = self.app.middleware_stack
        if stack is None or stack is not self._checked_stack:
            self.check_middleware()
        return self._is_on

    def check_middleware(self) -> None:
        """Turns the fast path on, or off where the application carries middleware that it does not know."""
        app = self.app
        if app.middleware_stack is None:
            app.middleware_stack = app.build_middleware_stack()
        self._checked_stack = app.middleware_stack
        unknown: list[object] = [one.cls for one in app.user_middleware if one not in self._known_middleware]
        own: set[object] = {one.cls for one in self._known_middleware}
        # the built stack is checked too, since instrumentation wraps it without being listed
        unknown += [
            layer
            for layer in self._walk_layers(app.middleware_stack)
            if layer not in own and not layer.__module__.startswith(_FRAMEWORK_MODULES)
        ]
        self._is_on = not unknown
        if unknown:
            names = ", ".join(dict.fromkeys(getattr(one, "__name__", repr(one)) for one in unknown))
            reason = f"the application carries middleware that it does not know: {names}"
            log.warning("fast_path_off", reason=reason)

    def _walk_layers(self, stack: object) -> Iterator[type]:
        """Yields the types of a middleware stack down to the router, the outermost first."""
        while stack is not None and stack is not self.app.router:
            yield type(stack)
            stack = getattr(stack, "app", None)

    def measure_body(self, method: str, headers: list[tuple[bytes, bytes]]) -> int:
        """Returns how long the body is, bytes; -1 where a request's head asks for what only ASGI can do."""
        limit = self._limits.get(method, -1)
        length = body_bytes = 0
        for name, value in headers:
            if name in _OTHER_HEADERS:
                return -1
            if name == b"content-length":
                body_bytes = int(value)
            length += len(name) + len(value)
        return body_bytes if body_bytes <= limit and length <= _MOST_HEADER_BYTES else -1

    def admit(
        self, scope: dict[str, Any], url: bytes, body_bytes: int
    ) -> tuple[ProtocolRoute | WaitingRoute, str] | None:
        """Finds the route of a request, and adds to its scope what the application would have added.

        Args:
            scope: Of the ASGI call, as far as it is known without the path.
            url: The target of the request.
            body_bytes: How long its body is.

        Returns:
            The route, and what the path has between its prefix and its suffix; None if the request has to go
            through ASGI.
        """
        plain = _PLAIN_PATH.fullmatch(url)
        if plain is None:
            return None
        target, query = plain.groups(b"")
        if query and scope["method"] != "POST":
            return None  # a GET with a query may wait
        path = target.decode(
            "ascii"
        )  # if that fails the parser does too, and the answer is 400 as through ASGI
        found = self.table.find(scope["method"], path)
        if found is None:
            return None
        route, parameter = found
        if isinstance(route, ProtocolRoute):
            if body_bytes > _MOST_BODY_BYTES:
                return None
        elif not isinstance(route, WaitingRoute):
            return None
        if self._authenticator is not None:
            owner = self._authenticator.find_owner(scope)
            if owner is None:
                return None
            scope["state"]["owner"] = owner
        scope |= {"app": self.app, "path": path, "raw_path": target, "query_string": query}
        return route, parameter


class FastRouteMiddleware:
    """Serves an application's fast routes; every other request goes on to the application.

    Args:
        app: The next ASGI application.
        fast_path: The fast path of the whole application.
    """

    def __init__(self, app: ASGIApp, fast_path: FastPath) -> None:
        self.app = app
        self._fast_path = fast_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] == "http" and not scope.get("root_path") and self._fast_path.is_on:
            found = self._fast_path.table.find(scope["method"], scope["path"])
            if found is not None:
                route, parameter = found
                return await route.serve(parameter, scope, receive, send)
        return await self.app(scope, receive, send)
