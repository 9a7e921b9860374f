"""Requests for what has changed, or for a part of it: `If-None-Match`, `Range`, `If-Range` (RFC 9110)."""

import re

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


def is_not_modified(if_none_match: str, etag: str) -> bool:
    """Whether a client has this very representation.

    Args:
        if_none_match: The header; empty if there is none.
        etag: That of the representation, with its quotation marks; weak ones are compared as if strong.
    """
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag.removeprefix("W/") in known or "*" in known


def parse_range(header: str, length: int) -> tuple[int, int] | None:
    """Reads a range of bytes.

    Args:
        header: The header `Range`; empty if there is none.
        length: How many bytes there are.

    Returns:
        Where it begins and where it ends, exclusive; the same number twice where none of it is there. None
        where all is to be sent: there is no header, or it has several ranges, another unit, or no sense.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        count = min(int(found[2]), length)
        return length - count, length
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else length
    if end <= start and found[2]:
        return None
    return (start, min(end, length)) if start < length else (0, 0)


def is_range_valid(if_range: str, etag: str) -> bool:
    """Whether a range may be sent: the client's other parts are of the same representation.

    Args:
        if_range: The header; empty if there is none.
        etag: That of the representation.
    """
    return not if_range or (if_range.strip() == etag and not etag.startswith("W/"))
