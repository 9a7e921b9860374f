"""Responses whose body is written already, and what event streams share."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send

from inferq.errors import InferqError

JSON = "application/json"
IS_HEAD = "inferq.is_head"
"""Is in the scope of a HEAD request, so that no body is read which is not sent."""
HEARTBEAT = b": heartbeat\n\n"
"""A comment of an event stream, so that no intermediary closes it as idle."""
EVENT_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # else nginx would buffer events
]

_NOT_IN_FILE_NAMES = re.compile(r"[^0-9A-Za-z_.-]|^\.")
_JSON_HEADERS = ((b"content-type", b"application/json"),)

log = structlog.get_logger()


class JsonResponse(Response):
    """A response with a JSON body. It skips Starlette's header processing: nearly every answer is one.

    Args:
        body: The JSON.
        status: HTTP status.
        location: The header of that name, ASCII.
    """

    def __init__(self, body: bytes, status: int = 200, *, location: str | None = None) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        if location is not None:
            self.raw_headers.append((b"location", location.encode("ascii")))


class PreparedResponse(Response):
    """A response with a body and headers that are written already.

    Args:
        body: The body.
        headers: All headers but its length.
    """

    def __init__(self, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *headers]


class StreamedResponse(Response):
    """A response whose body is sent while it is read.

    If the rest of it cannot be read, the connection is closed before the end of the body.

    Args:
        parts: The body.
        length: Its length, bytes; None if that is not known.
        headers: What else is said of it.
        status: HTTP status.
    """

    media_type = JSON

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        length: int | None,
        headers: Sequence[tuple[bytes, bytes]] = _JSON_HEADERS,
        status: int = 200,
    ) -> None:
        self.parts = parts
        self.status_code = status
        self.background = None
        self.body = b""
        self.raw_headers = list(headers)
        if length is not None:
            self.raw_headers.insert(0, (b"content-length", b"%d" % length))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, until the client disconnects."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        if IS_HEAD in scope:
            await send({"type": "http.response.body", "body": b""})
            return
        disconnect = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            async for part in yield_parts(self.parts):
                if part is None or disconnect.done():
                    return  # without the end of the body: the server closes the connection
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            disconnect.cancel()


def write_download_headers(media_type: str, name: str, suffix: str) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a body that may be anything: no browser shall take it for a page.

    Args:
        media_type: What it is.
        name: What a file of it is called, of any characters.
        suffix: How the file's name ends.
    """
    file = _NOT_IN_FILE_NAMES.sub("_", name) + suffix
    return [
        (b"content-type", media_type.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-disposition", f'attachment; filename="{file}"'.encode()),
    ]


async def yield_parts(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Yields the parts of a body, and None as the last one if the rest cannot be read. That is logged."""
    try:
        async for part in parts:
            yield part
    except (
        InferqError
    ) as error:  # Redis or the blob store is away, the job has gone, or the result is damaged
        log.warning("answer_cut_short", reason=error.message)
        yield None


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
