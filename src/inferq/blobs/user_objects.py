"""Objects that users name themselves, in any bucket: inputs that they have there, and where results go."""

from collections.abc import Buffer, Iterable
from functools import lru_cache

from inferq.blobs.bucket import Bucket
from inferq.errors import BodyTooLargeError, InvalidInputError
from inferq.object_urls import has_controls, has_half_names, split_object_url

_MOST_BUCKETS = 16
"""So many have connections kept: users may name any number."""


class UserObjects:
    """Reads and writes objects by their URL `s3://bucket/key`, with the credentials of this process.

    Which buckets a user may name is for the caller to decide: the credentials reach the blob store too.
    """

    def read(self, url: str, limit_bytes: int) -> memoryview:
        """Reads a whole object.

        Args:
            url: Its URL.
            limit_bytes: How long it may be.

        Raises:
            InvalidInputError: It is no such URL.
            BodyTooLargeError: The object is longer; nothing of it was read.
            BlobNotFoundError: It is not there.
            StoreUnavailableError: The bucket cannot be used; its kinds tell more.
        """
        bucket, key = _find(url)
        size = bucket.measure(key)
        if size > limit_bytes:
            raise BodyTooLargeError(f"The object {url} has {size} bytes, and at most {limit_bytes} are read.")
        return bucket.read(key, size)

    def write(self, url: str, pieces: Iterable[Buffer]) -> None:
        """Writes an object, whole or not at all, with only a few parts of it in memory.

        Args:
            url: Its URL.
            pieces: All of it, in order. Where one cannot be read, that error is raised.

        Raises:
            InvalidInputError: It is no such URL.
            QueueFullError: There is no room for it.
            StoreUnavailableError: The bucket cannot be used; its kinds tell more.
        """
        bucket, key = _find(url)
        bucket.write_pieces(key, pieces)

    def sign(self, url: str, expires_seconds: float) -> str:
        """Makes a URL with which others may read an object, without credentials of their own.

        Args:
            url: Its URL.
            expires_seconds: How long they may.

        Raises:
            InvalidInputError: It is no such URL.
            StoreUnavailableError: This process has no credentials.
        """
        bucket, key = _find(url)
        return bucket.sign("GET", key, expires_seconds)


def _find(url: str) -> tuple[Bucket, str]:
    bucket, key = split_object_url(url) or ("", "")
    if has_half_names(key) or has_controls(key):
        raise InvalidInputError(f"Expected an object as s3://bucket/key, got {url!r}.")
    return _open_bucket(bucket), key


@lru_cache(_MOST_BUCKETS)
def _open_bucket(name: str) -> Bucket:
    return Bucket(name, f"The bucket s3://{name}")
