"""Tells an observer of the requests that go through ASGI; the fast protocol tells it of its own."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferq.observability.observer import RequestObserver


class RequestObservation:
    """Tells an observer of each HTTP request once, when it is answered, or when its endpoint has failed.

    Args:
        app: The next ASGI application.
        observer: Is told of each request.
    """

    def __init__(self, app: ASGIApp, observer: RequestObserver) -> None:
        self.app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began_at = time.perf_counter()
        status = 500  # this is the answer if the application raises before it has begun another

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        finally:
            route = getattr(scope.get("route"), "path_format", "")
            self._observer.request_ended(scope["method"], route, status, time.perf_counter() - began_at)
