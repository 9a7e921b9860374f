"""Routes of the fast path: the endpoints that nearly every request asks for.

FastAPI documents a `FastRoute` like any other route, and can serve it like any other. `FastRouteMiddleware`
serves it without what its endpoint does not need: the search through all routes, dependencies, parsed
parameters, response models. A test compares the answers of both.
"""

from collections.abc import Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from inferq.errors import InferqError
from inferq.proxy.http import problems


class FastRoute(APIRoute):
    """A route whose endpoint reads the request and makes the response itself.

    Its path is fixed, or has one parameter, which matches everything between a prefix and a suffix.
    """

    @property
    def prefix(self) -> str:
        """The path up to its parameter."""
        return self.path.partition("{")[0]

    @property
    def suffix(self) -> str:
        """The path after its parameter."""
        return self.path.partition("}")[2]

    async def respond(self, request: Request, parameter: str) -> Response:
        """Makes the response to a request.

        Args:
            request: The request.
            parameter: What the path has between prefix and suffix.
        """
        try:
            response: Response = await (
                self.endpoint(request, parameter) if self.param_convertors else self.endpoint(request)
            )
        except (InferqError, ClientDisconnect) as error:
            return await problems.answer(request, error)
        return response

    async def serve(self, parameter: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request.

        Args:
            parameter: What the path has between prefix and suffix.
            scope: Of the ASGI call.
            receive: Of the ASGI call.
            send: Of the ASGI call.
        """
        scope["route"] = self  # as the framework's router does
        request = Request(scope, receive, send)
        await self.send(request, await self.respond(request, parameter))

    async def send(self, request: Request, response: Response) -> None:
        """Sends the response to a request.

        Args:
            request: The request.
            response: What `respond` has returned.
        """
        scope, receive, send = request.scope, request.receive, request._send
        try:
            await response(scope, receive, send)
        except (InferqError, ClientDisconnect) as error:  # raised by a response before it has started
            problem = await problems.answer(request, error)
            await problem(scope, receive, send)


class ProtocolRoute(FastRoute):
    """A fast route that the HTTP protocol itself can serve: it answers at once, with one body.

    A request with a `Prefer` header, and a GET with a query, may wait, and go through ASGI. POSTs have a
    body, GETs none.
    """


class WaitingRoute(FastRoute):
    """A fast route that the HTTP protocol itself can serve, though its body may be long, and its answer late.

    It is for POST, and an answer that is early or streamed is sent as through ASGI.
    """


class FastRouteTable:
    """Finds the fast route of a request.

    Args:
        routes: The fast routes. Where a path matches several, the first is found.
    """

    def __init__(self, routes: Iterable[FastRoute]) -> None:
        self._fixed: dict[tuple[str, str], FastRoute] = {}
        self._with_parameter: list[tuple[str, str, str, FastRoute]] = []
        for route in routes:
            for method in route.methods or ():
                if route.param_convertors:
                    self._with_parameter.append((method, route.prefix, route.suffix, route))
                else:
                    self._fixed[method, route.path] = route

    def find(self, method: str, path: str) -> tuple[FastRoute, str] | None:
        """Finds a route, and what the path has between its prefix and its suffix; None if there is none."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, ""
        for known, prefix, suffix, route in self._with_parameter:
            if known == method and path.startswith(prefix) and path.endswith(suffix, len(prefix)):
                return route, path[len(prefix) : len(path) - len(suffix)]
        return None
