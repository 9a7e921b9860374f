"""Rules of HTTP that hold for every request, before the application sees it."""

import asyncio
import math

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferq.proxy.http import problems
from inferq.proxy.http.responses import IS_HEAD

LONGEST_HEAD_BYTES = 65536
"""Of a request line and all headers together."""

DRAIN_SECONDS = 30.0
DRAIN_BYTES = 64 * 1024 * 1024
"""How long, and how much, is still read of a request after an early answer."""
_SHORT_BODY_BYTES = 65536
"""After an early answer to a longer body, the connection is closed."""


class HttpRules:
    """Refuses long heads, answers HEAD like GET, and drains the rest of a body that was answered early.

    A client that writes its whole body before it reads would lose an early answer, such as 413, if the
    connection were closed while it still writes.

    Args:
        app: The next ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        app = self.app
        head_bytes, length = _measure(scope)
        if head_bytes > LONGEST_HEAD_BYTES:
            app = problems.Refusal(431, describe_long_head())
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                scope, send = {**scope, "method": "GET", IS_HEAD: True}, _drop_body(send)
            if length:
                request = DrainedRequest(scope, length, receive, send)
                return await app(scope, request.receive, request.send)
        return await app(scope, receive, send)


def describe_long_head() -> str:
    """Returns the detail of the problem that answers a head that is too long."""
    return (
        f"The request line and the headers are longer than {LONGEST_HEAD_BYTES} bytes. Send fewer, or less."
    )


class DrainedRequest:
    """A request with a body, whose answer may be sent before the whole body has arrived.

    Args:
        scope: Of the ASGI call.
        length: How long the body is, bytes; infinity for a chunked one.
        receive: Of the ASGI call.
        send: Of the ASGI call.

    Attributes:
        is_received: Whether the whole body has arrived, or the client has gone.
    """

    def __init__(self, scope: Scope, length: float, receive: Receive, send: Send) -> None:
        self._is_http_1 = scope["http_version"].startswith("1")
        self._length = length
        self._receive, self._send = receive, send
        self.is_received = not length

    async def receive(self) -> Message:
        """Receives a message."""
        message = await self._receive()
        self.is_received = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Sends a message; the last one after the rest of the body has arrived, or enough of it."""
        if self.is_received:
            await self._send(message)
        elif message["type"] == "http.response.start":
            if self._is_http_1 and self._length > _SHORT_BODY_BYTES:
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send(message)
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0 and not self.is_received:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


def _drop_body(send: Send) -> Send:
    is_ended = False

    async def send_head(message: Message) -> None:
        nonlocal is_ended
        if message["type"] == "http.response.body":
            if is_ended:
                return
            is_ended = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return send_head


def _measure(scope: Scope) -> tuple[int, float]:
    """Returns the bytes of a head and of the body that it announces; infinity for a chunked body."""
    head_bytes = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    length = 0.0
    for name, value in scope["headers"]:
        head_bytes += len(name) + len(value)
        if name == b"transfer-encoding":
            length = math.inf
        elif name == b"content-length" and value.isdigit() and not length:
            length = float(value)
    return head_bytes, length
