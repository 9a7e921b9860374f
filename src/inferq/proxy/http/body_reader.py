"""Request bodies while they arrive: how long and how slow they may be, and how they may be compressed."""

import asyncio
import zlib
from io import BytesIO

from fastapi import Request
from starlette.requests import ClientDisconnect

from inferq.errors import BodyTooLargeError, InvalidJsonError, RequestTimeoutError, UnsupportedEncodingError
from inferq.proxy.http.body_budget import SMALL_BYTES, BodyShare, compute_deadline
from inferq.settings import Settings

WHOLE_BODY = "inferq.body"
"""Key of the scope under which a server puts a body that it has received completely."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def read_text(request: Request, share: BodyShare, settings: Settings) -> bytes:
    """Reads a request body that is a text: as `read_body` does, without a byte order mark."""
    return drop_byte_order_mark(await read_body(request, share, settings))


def drop_byte_order_mark(text: bytes) -> bytes:
    """Returns a text without the mark by which some programs begin UTF-8."""
    return text.removeprefix(_BYTE_ORDER_MARK)


async def read_body(request: Request, share: BodyShare, settings: Settings, prefix: bytes = b"") -> bytes:
    """Reads the request body, decompressed.

    Args:
        request: The request.
        share: Counts the body if it is long.
        settings: How long and how slow it may be.
        prefix: What the body is put behind.

    Raises:
        BodyTooLargeError: It is longer than `max_body_bytes`; the rest is not read.
        UnsupportedEncodingError: It is compressed, and not with gzip or deflate.
        InvalidJsonError: It cannot be decompressed.
        RequestTimeoutError: It arrives too slowly.
        OverloadedError: Too much is under way.
        ClientDisconnect: The client has disconnected.
    """
    whole: bytes | None = request.scope.get(WHOLE_BODY)
    if whole is not None:
        return prefix + whole if prefix else whole
    limit = settings.max_body_bytes
    length, codings = _read_head(request, limit)
    if codings and (len(codings) > 1 or codings[0] not in (b"gzip", b"x-gzip", b"deflate")):
        named = b", ".join(codings).decode("latin-1")[:80]
        raise UnsupportedEncodingError(
            f"Content-Encoding {named!r} is not known. Send the body as it is, or compressed with gzip or "
            "deflate."
        )
    if not codings:
        return await _receive(request, share, settings, length or 0, prefix)
    packed = await _receive(request, share, settings, length or 0)
    # in a thread: zlib releases the interpreter's lock
    raw = await asyncio.to_thread(_decompress, packed, codings[0], limit)
    share.take(len(raw))
    return prefix + raw if prefix else raw


def read_length(request: Request, settings: Settings) -> int | None:
    """Returns how long the body is that `read_body` will give; None where that is not known before.

    Raises:
        BodyTooLargeError: It is longer than `max_body_bytes`.
    """
    length, codings = _read_head(request, settings.max_body_bytes)
    return None if codings else length


def _read_head(request: Request, limit: int) -> tuple[int | None, list[bytes]]:
    """Returns the length of the body as it is sent, where that is known, and how it is compressed."""
    length, codings = None, []
    for name, value in request.scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
            if length > limit:
                raise _make_too_large_error(limit)
        if name == b"content-encoding":
            codings += [coding.strip().lower() for coding in value.split(b",")]
    return length, [coding for coding in codings if coding not in (b"", b"identity")]


async def _receive(
    request: Request, share: BodyShare, settings: Settings, expected: int, prefix: bytes = b""
) -> bytes:
    limit, timeout_seconds = settings.max_body_bytes, settings.request_timeout_seconds
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_seconds
    received = BytesIO()  # gives its value without a copy
    received.write(prefix)
    most = len(prefix) + expected
    length = 0
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                message = await request.receive()
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"{length} bytes of the request body have come, and the rest did not come in time "
                "(INFERQ_REQUEST_TIMEOUT_SECONDS). Send it again, without pauses."
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > limit:
            raise _make_too_large_error(limit)
        _make_room(received, len(chunk), most)
        received.write(chunk)
        is_last = not message.get("more_body")
        if length > SMALL_BYTES or not is_last:
            share.take(len(chunk))
        if is_last:
            received.truncate()
            return received.getvalue()
        deadline = compute_deadline(deadline, clock(), timeout_seconds, len(chunk))


def _make_room(received: BytesIO, count: int, most: int) -> None:
    """Doubles the room of a buffer that is full; by itself it grows by an eighth, and is copied each time.

    Args:
        received: The buffer, at the end of what it holds.
        count: How many bytes are to be written.
        most: How many it will hold, where that is known.
    """
    begin = received.tell()
    with received.getbuffer() as view:
        room = len(view)
    if begin + count > room and room < most:
        received.seek(min(most, max(2 * room, begin + count)) - 1)
        received.write(b"\0")
        received.seek(begin)


def _decompress(raw: bytes, coding: bytes, limit: int) -> bytes:
    is_zlib = len(raw) > 1 and raw[0] & 15 == zlib.DEFLATED and int.from_bytes(raw[:2]) % 31 == 0
    # some clients send raw deflate, which has no zlib header, under the name deflate
    window = (15 if is_zlib else -15) if coding == b"deflate" else 31
    decoder = zlib.decompressobj(window)
    try:
        whole = decoder.decompress(raw, limit + 1)
    except zlib.error as error:
        raise _make_compression_error(coding) from error
    if len(whole) > limit:
        raise _make_too_large_error(limit)
    if not decoder.eof or decoder.unused_data:
        raise _make_compression_error(coding)
    return whole


def _make_compression_error(coding: bytes) -> InvalidJsonError:
    name = coding.decode("latin-1")
    return InvalidJsonError(
        f"The request body is not compressed with {name}, as its Content-Encoding says, or not to its end. "
        "Compress it whole, or leave the header out."
    )


def _make_too_large_error(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The request body is longer than {limit} bytes (INFERQ_MAX_BODY_BYTES). Send fewer rows in each "
        "job, a smaller picture, or numbers as .npy instead of JSON; or ask the operator for more."
    )
