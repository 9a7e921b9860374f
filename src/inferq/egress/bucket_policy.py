"""Which objects in buckets clients may name: the credentials of this service reach others too."""

from dataclasses import dataclass
from typing import Self

from inferq.errors import InvalidInputError
from inferq.object_urls import has_controls, has_half_names, split_object_url
from inferq.settings import Settings

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
        found = split_object_url(url)
        if found is None:
            raise InvalidInputError(f"{self.noun} must name an object in a bucket, as s3://bucket/key.")
        _, key = found
        longest = _LONGEST_FOLDER if key.endswith("/") else _LONGEST_KEY
        if len(key.encode()) > longest:
            raise InvalidInputError(f"{self.noun} is too long: at most {longest} bytes follow the bucket.")
        if has_controls(key):
            raise InvalidInputError(f"{self.noun} has a control character, which no object's name has.")
        if key and has_half_names(key.removesuffix("/")):
            raise InvalidInputError(f"{self.noun} must have a name between each two slashes, not . or ..")
        if not url.startswith(self.allowed or ("?",)):
            raise InvalidInputError(f"{self.noun} is in a bucket that is not allowed ({self.setting}).")


def _split_buckets(buckets: str) -> tuple[str, ...]:
    names = (bucket.strip().removesuffix("/") for bucket in buckets.split(","))
    return tuple(f"{name}/" for name in names if name)
