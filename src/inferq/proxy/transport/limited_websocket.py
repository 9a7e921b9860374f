"""uvicorn's WebSocket protocol with bounds on messages that have begun and do not end."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from inferq.errors import OverloadedError
from inferq.proxy.http.body_budget import SMALL_BYTES, Holding, next_due
from inferq.proxy.transport.limited_protocol import patience_of

_FRAME_BYTES = 64
"""What each frame takes besides its bytes."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Counts what it holds of an unfinished message as request bodies are counted, and ends one that stops.

    A client that answers no ping is gone, as in the protocol it extends.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        self._patience = patience_of(self.config.app)
        self._holding = Holding(self.config.app.state.body_budget)  # type: ignore[union-attr]
        self._held = 0
        self._fragments = 0
        self._due = float("inf")

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the use of a connection."""
        super().connection_lost(exc)
        self._hold(0)

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        super().data_received(data)
        if self.close_sent:
            return
        now = self.loop.time()
        unfinished = self._fragments + len(self.conn.reader.buffer)
        if unfinished:
            start = self._due if self._held else now + self._patience
            self._due = next_due(start, now, self._patience, len(data))
        else:
            self._due = float("inf")
        try:
            self._hold(unfinished)
        except OverloadedError as error:
            self._fail(error.message)

    def send_keepalive_ping(self) -> None:
        """Looks whether the client is still there, and whether its message goes on."""
        if self.loop.time() > self._due:
            self._fail("The message has stopped before its end.")
        else:
            super().send_keepalive_ping()

    def handle_text(self, event: Frame) -> None:
        """Takes a frame."""
        self._fragments = len(event.data) + _FRAME_BYTES
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Takes a frame."""
        self._fragments = len(event.data) + _FRAME_BYTES
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Takes a frame."""
        self._fragments += len(event.data) + _FRAME_BYTES
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hands on a message that is whole."""
        self._fragments = 0
        super().send_receive_event_to_app()

    def _hold(self, count: int) -> None:
        counted = count if count > SMALL_BYTES else 0
        self._holding.take(counted - self._holding.held)
        self._held = count

    def _fail(self, reason: str) -> None:
        if not (self.close_sent or self.transport.is_closing()):
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, reason[:120])
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.stop_keepalive()
            self.frames, self._fragments = [], 0
            self._hold(0)
            # what still comes is passed over, until the client has seen why
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
            if self.transport.can_write_eof():
                self.transport.write_eof()
