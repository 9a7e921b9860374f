"""A request body while it arrives: how long and how slow it may be, and where its bytes go."""

import asyncio
import os
from collections.abc import AsyncIterator, Buffer
from io import BytesIO
from typing import Protocol

from fastapi import Request
from starlette.requests import ClientDisconnect

from inferq.errors import BodyTooLargeError, RequestTimeoutError
from inferq.proxy.http.bodies.body_budget import SMALL_BYTES, BodyShare, compute_deadline
from inferq.settings import Settings

BODY_RECEIVER = "inferq.body_receiver"
"""Key of the scope under which a server puts a `DirectReceiver`, where it can receive a body directly."""


class BodySink(Protocol):
    """What takes a body part by part."""

    def add(self, part: Buffer) -> None:
        """Takes a part that has arrived elsewhere; may raise what `note` does."""

    def get_room(self) -> memoryview:
        """Returns memory for the next part: one byte or more. It must be let go before the next call."""

    def note(self, count: int) -> None:
        """Takes so many bytes that were written to that memory.

        Raises:
            InferqError: No more are taken.
        """


class DirectReceiver(Protocol):
    """Receives a body without ASGI messages."""

    @property
    def arrived_bytes(self) -> int:
        """How many bytes have arrived that are not received."""

    async def receive(self, sink: BodySink) -> None:
        """Receives what is missing of the body, or returns earlier: the rest comes as messages."""


class IncomingBody:
    """The body of one request.

    Args:
        request: The request.
        share: Counts the body if it is long.
        settings: How long and how slow it may be.
        expected: How long it is, bytes; 0 if that is not known.
        prefix: What it is put behind.
    """

    def __init__(
        self, request: Request, share: BodyShare, settings: Settings, expected: int, prefix: bytes = b""
    ) -> None:
        self._request, self._share = request, share
        self._limit, self._timeout_seconds = settings.max_body_bytes, settings.request_timeout_seconds
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + self._timeout_seconds
        self._timeout: asyncio.Timeout | None = None
        self._received = BytesIO()  # gives its value without a copy
        self._received.write(prefix)
        self._most = len(prefix) + expected
        self._length = 0
        self._begin: list[bytes] = []
        self._has_more = True

    async def receive_begin(self, count: int) -> bytes:
        """Receives the first bytes: so many or more, or all of a shorter body.

        What is called next begins with them again. See `receive` for the errors.
        """
        while self._has_more and self._length < count:
            part = await self._receive_part()
            self._begin.append(part)
            self._count(len(part), is_whole=not self._has_more)
        return b"".join(self._begin)

    async def receive_parts(self) -> AsyncIterator[bytes]:
        """Yields it part by part instead of receiving it whole. See `receive` for the errors.

        Only what `receive_begin` has received is counted as held. For how long a part is looked at does not
        count as a pause of the client.
        """
        for part in self._begin:
            yield part
        while self._has_more:
            part = await self._receive_part()
            self._note_length(len(part))
            paused_at = self._clock()
            yield part
            self._deadline += self._clock() - paused_at

    async def receive(self) -> bytes:
        """Receives it.

        Raises:
            BodyTooLargeError: It is longer than `max_body_bytes`; the rest is not read.
            RequestTimeoutError: It arrives too slowly.
            OverloadedError: Too much is under way.
            ClientDisconnect: The client has disconnected.
        """
        for part in self._begin:
            self._make_room(len(part))
            self._received.write(part)
        receiver: DirectReceiver | None = self._request.scope.get(BODY_RECEIVER)
        while self._has_more:
            if receiver is not None and self._length + receiver.arrived_bytes > SMALL_BYTES:
                try:
                    async with asyncio.timeout_at(self._deadline) as self._timeout:
                        await receiver.receive(self)
                except TimeoutError as error:
                    raise self._make_timeout_error() from error
                self._timeout = None
            part = await self._receive_part()
            self._write(part)
            self._count(len(part), is_whole=not self._has_more)
        self._received.truncate()
        return self._received.getvalue()

    async def _receive_part(self) -> bytes:
        """Receives a part of the body, and notes whether there are more."""
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._request.receive()
        except TimeoutError as error:
            raise self._make_timeout_error() from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._has_more = bool(message.get("more_body"))
        part: bytes = message.get("body", b"")
        return part

    def _make_timeout_error(self) -> RequestTimeoutError:
        return RequestTimeoutError(
            f"{self._length} bytes of the request body have come, and the rest did not come in time "
            "(INFERQ_REQUEST_TIMEOUT_SECONDS). Send it again, without pauses."
        )

    def add(self, part: Buffer) -> None:
        """See `BodySink`."""
        self._write(part)
        self._count(memoryview(part).nbytes)

    def get_room(self) -> memoryview:
        """See `BodySink`."""
        self._make_room(1)
        return self._received.getbuffer()[self._received.tell() :]

    def note(self, count: int) -> None:
        """See `BodySink`."""
        self._received.seek(count, os.SEEK_CUR)
        self._count(count)
        if self._timeout is not None:
            self._timeout.reschedule(self._deadline)

    def _write(self, part: Buffer) -> None:
        count = memoryview(part).nbytes
        if self._length + count <= self._limit:
            self._make_room(count)
            self._received.write(part)

    def _count(self, count: int, *, is_whole: bool = False) -> None:
        self._note_length(count)
        if self._length > SMALL_BYTES or not is_whole:
            self._share.take(count)

    def _note_length(self, count: int) -> None:
        self._length += count
        if self._length > self._limit:
            raise make_too_large_error(self._limit)
        self._deadline = compute_deadline(self._deadline, self._clock(), self._timeout_seconds, count)

    def _make_room(self, count: int) -> None:
        """Makes room for so many bytes: for all of a long body at once, where its length is known.

        By itself a buffer grows by an eighth, and is copied each time. The system gives memory only when it
        is touched, so that a body that never comes takes none.
        """
        begin = self._received.tell()
        with self._received.getbuffer() as view:
            room = len(view)
        if begin + count > room and room < self._most and begin + count > SMALL_BYTES:
            before, self._received = self._received, BytesIO(bytes(self._most))
            self._received.write(before.getvalue())


def make_too_large_error(limit: int) -> BodyTooLargeError:
    """Returns the error for a body that is longer than so many bytes."""
    return BodyTooLargeError(
        f"The request body is longer than {limit} bytes (INFERQ_MAX_BODY_BYTES). Send fewer rows in each "
        "job, a smaller picture, or numbers as .npy instead of JSON; or ask the operator for more."
    )
