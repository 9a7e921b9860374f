"""Which objects in buckets clients may name: the credentials of this service reach others too."""

import re
from dataclasses import dataclass
from typing import Self

from inferq.errors import InvalidInputError
from inferq.settings import Settings

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^?#]{0,1024})")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
"""No client of a bucket takes these in a key."""
_HALF_NAMES = {".", ".."}
_LONGEST_KEY = 1024
_LONGEST_FOLDER = 800
"""Bytes in UTF-8: below a folder names of objects follow, which hold an id."""


@dataclass(frozen=True, slots=True)
class BucketPolicy:
    """Which objects may be named.

    Attributes:
        allowed: Beginnings of their URLs, each with a slash at its end; none: no object may be named.
        noun: What errors call the URL.
        setting: The environment variable that names them.
    """

    allowed: tuple[str, ...]
    noun: str
    setting: str

    @classmethod
    def for_inputs(cls, settings: Settings) -> Self:
        """Returns the rules for files that data names."""
        allowed = _split_buckets(settings.input_allowed_buckets)
        return cls(allowed, "url", "INFERQ_INPUT_ALLOWED_BUCKETS")

    @classmethod
    def for_outputs(cls, settings: Settings) -> Self:
        """Returns the rules for folders to which results are written."""
        allowed = _split_buckets(settings.output_allowed_buckets)
        return cls(allowed, "output", "INFERQ_OUTPUT_ALLOWED_BUCKETS")

    def check(self, url: str) -> None:
        """Checks the URL of an object, or of a folder where it ends with a slash.

        Raises:
            InvalidInputError: It may not be named; the message says why, and does not repeat the URL.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InvalidInputError(f"{self.noun} must name an object in a bucket, as s3://bucket/key.")
        key = found["key"]
        longest = _LONGEST_FOLDER if key.endswith("/") else _LONGEST_KEY
        if len(key.encode()) > longest:
            raise InvalidInputError(f"{self.noun} is too long: at most {longest} bytes follow the bucket.")
        if _CONTROLS.search(key):
            raise InvalidInputError(f"{self.noun} has a control character, which no object's name has.")
        *folders, name = key.split("/")
        if not all(folders) or _HALF_NAMES & {*folders, name}:
            raise InvalidInputError(f"{self.noun} must have a name between each two slashes, not . or ..")
        if not url.startswith(self.allowed or ("?",)):
            raise InvalidInputError(f"{self.noun} is in a bucket that is not allowed ({self.setting}).")


def _split_buckets(buckets: str) -> tuple[str, ...]:
    names = (bucket.strip().removesuffix("/") for bucket in buckets.split(","))
    return tuple(f"{name}/" for name in names if name)
