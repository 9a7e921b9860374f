"""Request bodies while they arrive: how long and how slow they may be, and how they may be compressed."""

import asyncio
import zlib

from fastapi import Request

from inferq.errors import InvalidJsonError, UnsupportedEncodingError
from inferq.proxy.http.bodies.body_budget import BodyShare
from inferq.proxy.http.bodies.incoming_body import IncomingBody, make_too_large_error
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
        return await IncomingBody(request, share, settings, length or 0, prefix).receive()
    packed = await IncomingBody(request, share, settings, length or 0).receive()
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
                raise make_too_large_error(limit)
        if name == b"content-encoding":
            codings += [coding.strip().lower() for coding in value.split(b",")]
    return length, [coding for coding in codings if coding not in (b"", b"identity")]


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
        raise make_too_large_error(limit)
    if not decoder.eof or decoder.unused_data:
        raise _make_compression_error(coding)
    return whole


def _make_compression_error(coding: bytes) -> InvalidJsonError:
    name = coding.decode("latin-1")
    return InvalidJsonError(
        f"The request body is not compressed with {name}, as its Content-Encoding says, or not to its end. "
        "Compress it whole, or leave the header out."
    )
