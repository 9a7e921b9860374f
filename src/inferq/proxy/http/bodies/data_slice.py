"""Finds the array that is `data` in a long JSON body, so that it need not be written anew."""

import re
from typing import NamedTuple

_MOST_BYTES = 4096
_MEMBER = rb'\s*"[a-z_]+"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*'
_BEFORE = re.compile(rb"\s*\{(?:%b,)*\s*\"data\"\s*:\s*(?=\[)" % _MEMBER, re.ASCII)
_AFTER = re.compile(rb"\s*(?:,%b)*\}\s*" % _MEMBER, re.ASCII)


class SlicedBody(NamedTuple):
    """A body taken apart. If `data` is one JSON array, and `rest` a JSON object, the body is a JSON object.

    Attributes:
        data: Where the array is in it.
        rest: The body with null in its place.
    """

    data: slice
    rest: bytes


def slice_body(body: bytes) -> SlicedBody | None:
    """Takes a body apart.

    Args:
        body: A request for a prediction.

    Returns:
        Its parts; None where `data` is no array, or the body is so unusual that it has to be parsed.
    """
    before = _BEFORE.match(body, 0, _MOST_BYTES)
    end = body.rfind(b"]") + 1
    if (
        before is None
        or end <= before.end()
        or len(body) - end > _MOST_BYTES
        or not _AFTER.fullmatch(body, end)
    ):
        return None
    return SlicedBody(slice(before.end(), end), body[: before.end()] + b"null" + body[end:])
