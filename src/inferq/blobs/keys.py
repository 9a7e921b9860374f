"""The keys of blobs: `{job id}/{data|result}/{random}`. What was written once is never written again."""

import re
import secrets
from enum import StrEnum

_RANDOM_BYTES = 8
_STORABLE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile(rf"({_STORABLE_ID.pattern})/(data|result)/([0-9a-f]{{{2 * _RANDOM_BYTES}}})")


class BlobPart(StrEnum):
    """Which part of a job a blob is."""

    DATA = "data"
    RESULT = "result"


def has_storable_id(job_id: str) -> bool:
    """Whether blobs of this job can have keys: all of our own can; ids from outside may be anything."""
    return _STORABLE_ID.fullmatch(job_id) is not None


def make_key(job_id: str, part: BlobPart) -> str:
    """Makes a key that no other blob has."""
    return f"{job_id}/{part}/{secrets.token_hex(_RANDOM_BYTES)}"


def split_key(key: str) -> tuple[str, BlobPart, str] | None:
    """Returns job, part and random digits of a key; None for what is no key."""
    found = _KEY.fullmatch(key)
    return None if found is None else (found[1], BlobPart(found[2]), found[3])


def find_owner(key: str) -> tuple[str, BlobPart] | None:
    """Returns the job and the part of it that a key is for; None for what is no key."""
    found = split_key(key)
    return None if found is None else found[:2]
