"""uvicorn's WebSocket protocol with limits on messages that have begun and do not end."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from inferq.errors import OverloadedError
from inferq.proxy.http.bodies.body_budget import SMALL_BYTES, compute_deadline
from inferq.proxy.transport.connection_limits import find_connection_limits

_FRAME_BYTES = 64
"""Memory that each frame takes besides its bytes."""


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """Counts the bytes of an unfinished message like those of request bodies, and ends one that stops.

    A client that answers no ping is disconnected, as in the protocol that this class extends.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        limits = find_connection_limits(self.config)
        self._timeout = limits.request_timeout_seconds
        self._share = limits.body_budget.open_share()
        self._unfinished_bytes = 0
        self._frame_bytes = 0
        self._deadline = float("inf")

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        super().connection_lost(exc)
        self._count(0)

    def data_received(self, data: bytes) -> None:
        """Handles bytes that were received."""
        super().data_received(data)
        if self.close_sent:
            return
        now = self.loop.time()
        unfinished = self._frame_bytes + len(self.conn.reader.buffer)
        if unfinished:
            start = self._deadline if self._unfinished_bytes else now + self._timeout
            self._deadline = compute_deadline(start, now, self._timeout, len(data))
        else:
            self._deadline = float("inf")
        try:
            self._count(unfinished)
        except OverloadedError as error:
            self._fail(error.message)

    def send_keepalive_ping(self) -> None:
        """Checks that the client is still there, and that its message continues."""
        if self.loop.time() > self._deadline:
            self._fail("The message has stopped before its end.")
        else:
            super().send_keepalive_ping()

    def handle_text(self, event: Frame) -> None:
        """Handles a frame."""
        self._frame_bytes = len(event.data) + _FRAME_BYTES
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Handles a frame."""
        self._frame_bytes = len(event.data) + _FRAME_BYTES
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Handles a frame."""
        self._frame_bytes += len(event.data) + _FRAME_BYTES
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Gives a complete message to the application."""
        self._frame_bytes = 0
        super().send_receive_event_to_app()

    def _count(self, unfinished_bytes: int) -> None:
        counted = unfinished_bytes if unfinished_bytes > SMALL_BYTES else 0
        self._share.take(counted - self._share.taken)
        self._unfinished_bytes = unfinished_bytes

    def _fail(self, reason: str) -> None:
        if not (self.close_sent or self.transport.is_closing()):
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, reason[:120])
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.stop_keepalive()
            self.frames, self._frame_bytes = [], 0
            self._count(0)
            # what is still sent is ignored until the client has read the reason
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
            if self.transport.can_write_eof():
                self.transport.write_eof()
