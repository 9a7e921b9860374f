"""URLs of objects in buckets, as users write them."""

import re

BUCKET_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""What the name of a bucket may be, as a regular expression."""
_URL = re.compile(rf"s3://({BUCKET_NAME})/([^?#]*)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_HALF_NAMES = {"", ".", ".."}


def split_object_url(url: str) -> tuple[str, str] | None:
    """Returns the bucket and the key of a URL `s3://bucket/key`; None for anything else."""
    found = _URL.fullmatch(url)
    return (found[1], found[2]) if found else None


def has_controls(key: str) -> bool:
    """Whether a key has a control character, which no client of a bucket takes."""
    return _CONTROLS.search(key) is not None


def has_half_names(key: str) -> bool:
    """Whether nothing, `.` or `..` stands between two slashes of a key, or at an end of it."""
    return not _HALF_NAMES.isdisjoint(key.split("/"))
