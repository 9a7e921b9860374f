"""The keys of blobs: `{job id}/{data|result}/{random}`, and `{upload id}/upload/{random}`.

What was written once is never written again, but for an upload.
"""

import re
import secrets
from enum import StrEnum

from inferq.errors import BlobNotFoundError

_RANDOM_BYTES = 8
_STORABLE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile(rf"({_STORABLE_ID.pattern})/(data|result|upload)/([0-9a-f]{{{2 * _RANDOM_BYTES}}})")


class BlobPart(StrEnum):
    """Which part of a job a blob is, or an upload, which no key of Redis names."""

    DATA = "data"
    RESULT = "result"
    UPLOAD = "upload"


def has_storable_id(job_id: str) -> bool:
    """Whether blobs of this job can have keys: all of our own can; ids from outside may be anything."""
    return _STORABLE_ID.fullmatch(job_id) is not None


def make_key(job_id: str, part: BlobPart) -> str:
    """Makes a key that no other blob has."""
    return f"{job_id}/{part}/{secrets.token_hex(_RANDOM_BYTES)}"


def make_upload_key(upload_id: str) -> str:
    """Returns the key of an upload, which its id tells: of that, the first digits are random."""
    return f"{upload_id}/{BlobPart.UPLOAD}/{upload_id[: 2 * _RANDOM_BYTES]}"


def rename_key(key: str) -> str:
    """Returns a key of the same job or upload, and the same part of it, that no other blob has."""
    return f"{key.rpartition('/')[0]}/{secrets.token_hex(_RANDOM_BYTES)}"


def split_key(key: str) -> tuple[str, BlobPart, str] | None:
    """Returns job, part and random digits of a key; None for what is no key."""
    found = _KEY.fullmatch(key)
    return None if found is None else (found[1], BlobPart(found[2]), found[3])


def name_file(key: str) -> str:
    """Returns where a blob lies in its store: one of 256 folders, over which the random digits spread them.

    Raises:
        BlobNotFoundError: It is no key.
    """
    found = split_key(key)
    if found is None:
        raise BlobNotFoundError(f"There is no blob {key!r}, which is no key of one.")
    job_id, part, random = found
    return f"{random[:2]}/{job_id}.{part}.{random}"


def read_file_name(path: str) -> str | None:
    """Returns the key of the blob that lies there; None where none can."""
    _, _, name = path.rpartition("/")
    key = name.replace(".", "/")
    return key if split_key(key) and name_file(key) == path else None


def find_owner(key: str) -> tuple[str, BlobPart] | None:
    """Returns the job and the part of it that a key is for; None for what is no key."""
    found = split_key(key)
    return None if found is None else found[:2]
