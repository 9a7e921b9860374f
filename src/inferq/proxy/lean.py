"""A short way to the endpoints that nearly every request asks for.

FastAPI documents a `LeanRoute` like any other and can serve it like any other. `LeanPaths` serves it without
what such an endpoint has no use for: matching one route after the other, dependencies, validated parameters,
response models. Its answers are the same; a test compares the two.
"""

from collections.abc import Iterable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from inferq.jobs import InferqError
from inferq.proxy import problems


class LeanRoute(APIRoute):
    """A route whose endpoint reads the request and makes the response by itself.

    Its path is fixed, or ends with its only parameter, which takes in the rest of the path.
    """

    @property
    def stem(self) -> str:
        """The fixed part of the path."""
        return self.path.partition("{")[0]

    async def serve(self, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request.

        Args:
            rest: The path after the stem.
            scope: Of the ASGI call.
            receive: Of the ASGI call.
            send: Of the ASGI call.
        """
        request = Request(scope, receive, send)
        try:
            response = await (
                self.endpoint(request, rest) if self.param_convertors else self.endpoint(request)
            )
        except (InferqError, ClientDisconnect) as error:
            response = await problems.answer(request, error)
        await response(scope, receive, send)


class LeanPaths:
    """Serves an application's lean routes; everything else goes on to the application.

    Args:
        app: The next application.
        routes: The lean routes.
        but: How the rest of a path ends that is not theirs, though it begins with a stem.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[LeanRoute], but: str) -> None:
        self._app = app
        self._but = but
        self._fixed: dict[tuple[str, str], LeanRoute] = {}
        self._stems: list[tuple[str, str, LeanRoute]] = []
        for route in routes:
            for method in route.methods or ():
                if route.param_convertors:
                    self._stems.append((method, route.stem, route))
                else:
                    self._fixed[method, route.stem] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] == "http" and not scope.get("root_path"):
            path, method = scope["path"], scope["method"]
            fixed = self._fixed.get((method, path))
            if fixed is not None:
                return await fixed.serve("", scope, receive, send)
            for known, stem, route in self._stems:
                if known == method and path.startswith(stem) and not path.endswith(self._but, len(stem)):
                    return await route.serve(path[len(stem) :], scope, receive, send)
        return await self._app(scope, receive, send)
