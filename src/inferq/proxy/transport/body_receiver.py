"""Receives a long body of known length straight into its place, without the parser.

Through the parser each part of a body is copied four times, and every 64 KiB wake up the request, through all
middleware above it. Here the transport reads into the memory in which the body is put together, and the
request is woken up at its end.
"""

import asyncio
from typing import Any

from inferq.errors import InferqError
from inferq.proxy.http.bodies.incoming_body import BodySink
from inferq.proxy.transport.limited_protocol import LimitedProtocol

_ZEROS = bytes(65536)
_READ_BYTES = 1024 * 1024
"""So much is read at a time: all that a fast client has sent would hold up others for milliseconds."""


class BodyReceiver:
    """Lets the application receive what is missing of one body.

    Args:
        http: The protocol of the connection.
        cycle: The request.
        length: How long its body is, bytes.

    Attributes:
        parsed_bytes: How much of the body the parser has seen.
    """

    def __init__(self, http: LimitedProtocol, cycle: Any, length: int) -> None:  # noqa: ANN401 - as uvicorn has it
        self._http = http
        self._cycle = cycle
        self._length = length
        self.parsed_bytes = 0

    @property
    def arrived_bytes(self) -> int:
        """How many bytes have arrived that the application has not received."""
        return len(self._cycle.body)

    async def receive(self, sink: BodySink) -> None:
        """Receives what is missing of the body, or returns earlier: then it comes as it would without this.

        Args:
            sink: Where it goes.

        Raises:
            InferqError: The sink takes no more.
        """
        http, cycle = self._http, self._cycle
        if cycle.body:
            arrived, cycle.body = cycle.body, bytearray()
            sink.add(arrived)
        if http.cycle is not cycle or not cycle.more_body or not http.can_be_replaced:
            return
        direct = _DirectProtocol(http, sink, self._length - self.parsed_bytes)
        http.flow.pause_reading()  # a transport looks at its protocol when it begins to read
        http.transport.set_protocol(direct)
        http.flow.resume_reading()
        try:
            await direct.ended
        finally:
            direct.leave()


class _DirectProtocol(asyncio.BufferedProtocol):
    """Takes the place of the HTTP protocol while the rest of a body arrives; reads nothing behind that.

    Args:
        http: The protocol of the connection.
        sink: Where the body goes.
        missing: How much of it has not arrived, bytes; at least 1.

    Attributes:
        ended: Is done when all has arrived, or the connection is lost.
    """

    def __init__(self, http: LimitedProtocol, sink: BodySink, missing: int) -> None:
        self._http = http
        self._sink = sink
        self._missing = missing
        self._received = 0
        self._has_left = False
        self.ended: asyncio.Future[None] = http.loop.create_future()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - of the interface
        """Returns where the next bytes go."""
        return self._sink.get_room()[: min(self._missing, _READ_BYTES)]

    def buffer_updated(self, nbytes: int) -> None:
        """Handles bytes that were received."""
        self._received += nbytes
        self._missing -= nbytes
        error = None
        try:
            self._sink.note(nbytes)
        except InferqError as found:
            error = found.with_traceback(None)  # which would keep the transport's view of the room
        if self._missing and error is None:
            if nbytes == _READ_BYTES:  # there may be more, for which the transport would look at once
                self._http.flow.pause_reading()
                self._http.loop.call_soon(self._read_on)
            return
        self.leave()
        if self.ended.done():  # the request has been given up
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    def _read_on(self) -> None:
        if not self._has_left:
            self._http.flow.resume_reading()

    def leave(self) -> None:
        """Gives the connection back to the HTTP protocol.

        Where the body has not arrived, the parser gets as many zeros as it has missed, so that it knows where
        the body ends. Nobody sees them.
        """
        http = self._http
        if self._has_left or http.parser is None:  # which it is once the connection is lost
            return
        self._has_left = True
        http.flow.pause_reading()
        http.transport.set_protocol(http)
        if not self._missing:
            http.skip_body()
            return
        for begin in range(0, self._received, len(_ZEROS)):
            http.data_received(_ZEROS[: self._received - begin])
            http.cycle.body = bytearray()

    def eof_received(self) -> bool:
        """Handles the end of what the client sends."""
        return self._http.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        self._http.connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        """Is called when the client does not read."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Is called when it reads again."""
        self._http.resume_writing()
