"""A short way to the endpoints that nearly every request asks for.

FastAPI documents a `LeanRoute` like any other and can serve it like any other. `LeanPaths` serves it without
what such an endpoint has no use for: matching one route after the other, dependencies, validated parameters,
response models. Its answers are the same; a test compares the two.
"""

from collections.abc import Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from inferq.errors import InferqError
from inferq.proxy.http import problems


class LeanRoute(APIRoute):
    """A route whose endpoint reads the request and makes the response by itself.

    Its path is fixed, or has one parameter, which takes in everything between the stem and the tail.
    """

    @property
    def stem(self) -> str:
        """The path up to its parameter."""
        return self.path.partition("{")[0]

    @property
    def tail(self) -> str:
        """The path after its parameter."""
        return self.path.partition("}")[2]

    async def respond(self, request: Request, rest: str) -> Response:
        """Makes the answer to a request.

        Args:
            request: The request.
            rest: What the path has between stem and tail.
        """
        try:
            response: Response = await (
                self.endpoint(request, rest) if self.param_convertors else self.endpoint(request)
            )
        except (InferqError, ClientDisconnect) as error:
            return await problems.answer(request, error)
        return response

    async def serve(self, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request.

        Args:
            rest: What the path has between stem and tail.
            scope: Of the ASGI call.
            receive: Of the ASGI call.
            send: Of the ASGI call.
        """
        request = Request(scope, receive, send)
        response = await self.respond(request, rest)
        try:
            await response(scope, receive, send)
        except (InferqError, ClientDisconnect) as error:  # of one that has not begun
            problem = await problems.answer(request, error)
            await problem(scope, receive, send)


class LeanTable:
    """Finds the lean route of a request.

    Args:
        routes: The lean routes. Where a path fits several of them, the first is found.
    """

    def __init__(self, routes: Iterable[LeanRoute]) -> None:
        self._fixed: dict[tuple[str, str], LeanRoute] = {}
        self._stems: list[tuple[str, str, str, LeanRoute]] = []
        for route in routes:
            for method in route.methods or ():
                if route.param_convertors:
                    self._stems.append((method, route.stem, route.tail, route))
                else:
                    self._fixed[method, route.stem] = route

    def find(self, method: str, path: str) -> tuple[LeanRoute, str] | None:
        """The route, and what the path has between its stem and its tail; None if there is no such route."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, ""
        for known, stem, tail, route in self._stems:
            if known == method and path.startswith(stem) and path.endswith(tail, len(stem)):
                return route, path[len(stem) : len(path) - len(tail)]
        return None


class LeanPaths:
    """Serves an application's lean routes; everything else goes on to the application.

    Args:
        app: The next application.
        table: The lean routes.
    """

    def __init__(self, app: ASGIApp, table: LeanTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] == "http" and not scope.get("root_path"):
            found = self._table.find(scope["method"], scope["path"])
            if found is not None:
                route, rest = found
                return await route.serve(rest, scope, receive, send)
        return await self._app(scope, receive, send)
