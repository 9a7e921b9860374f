"""The access log: a line for each request that is answered, without query, headers and body."""

import time
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()


class AccessLog:
    """Logs requests: all, or those that were refused or failed.

    Args:
        only_errors: Whether to leave out those that were answered with a status below 400.
    """

    def __init__(self, *, only_errors: bool) -> None:
        self._least_status = 400 if only_errors else 0

    def note(self, scope: Scope, route: str, status: int, seconds: float, sent_bytes: int | None) -> None:
        """Logs a request that has ended; its ids come from the context of the log.

        Args:
            scope: Of the ASGI call, with method, path, client and state.
            route: Path of the route with the names of its parameters; empty where none was found.
            status: HTTP status of the answer; 101 where a WebSocket was opened.
            seconds: From the request's head to the answer's end.
            sent_bytes: Length of the answer's body; None where it is not known.
        """
        if status < self._least_status:
            return
        client = scope.get("client")
        write = log.warning if status >= HTTPStatus.INTERNAL_SERVER_ERROR else log.info
        write(
            "request_ended",
            method=scope.get("method", "GET"),
            route=route or None,
            path=scope["path"],
            status=status,
            seconds=round(seconds, 6),
            bytes=sent_bytes,
            client=client[0] if client else None,
            owner=scope["state"].get("owner"),
        )


class AccessLogging:
    """Logs the requests and WebSockets that go through ASGI; the fast protocol logs its own.

    Args:
        app: The next ASGI application.
        access_log: Writes the lines.
    """

    def __init__(self, app: ASGIApp, access_log: AccessLog) -> None:
        self.app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        began_at = time.perf_counter()
        answer = CountedAnswer(send)
        try:
            await self.app(scope, receive, answer.send)
        finally:
            route = getattr(scope.get("route"), "path_format", "")
            seconds = time.perf_counter() - began_at
            self._access_log.note(scope, route, answer.status, seconds, answer.sent_bytes)


class CountedAnswer:
    """Counts what is sent.

    Attributes:
        status: HTTP status; 500 before anything is sent, which the framework answers for an error.
        sent_bytes: Length of the body, or of a WebSocket's messages; None before anything is sent.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500
        self.sent_bytes: int | None = None

    async def send(self, message: Message) -> None:
        """Sends a message."""
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.status, self.sent_bytes = message["status"], 0
            case "websocket.accept":
                self.status, self.sent_bytes = 101, 0
            case "websocket.close" if self.sent_bytes is None:
                self.status, self.sent_bytes = 403, 0  # so the server answers
            case "websocket.send":
                sent = message.get("bytes") or (message.get("text") or "").encode()
                self.sent_bytes = (self.sent_bytes or 0) + len(sent)
            case "http.response.body" | "websocket.http.response.body":
                self.sent_bytes = (self.sent_bytes or 0) + len(message.get("body", b""))
        await self._send(message)
