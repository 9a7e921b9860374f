"""A bucket, or what is below a prefix in one, as a blob store: an object for each blob."""

import re
import time
from collections.abc import Buffer, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, Self
from urllib.parse import quote, unquote

from inferq.blobs.bucket import MOST_HELD_BYTES, Bucket
from inferq.blobs.keys import name_file, read_file_name
from inferq.blobs.store import BlobInfo, BlobPage
from inferq.blobs.store_mark import QUEUE_MARK, STORE_MARK, is_id, make_id
from inferq.errors import BlobNotFoundError, StoreUnavailableError

_URL = re.compile(r"s3://([^/]+)/*(.*?)/*")
_CLOCK = ".inferq-clock"
_BLOBS = "blobs"
"""Blobs lie below that name, so that a listing shows nothing of what is beside it, as the parts of a store
that belong to other shards."""
_CHECKED_SECONDS = 10.0
"""How long a check that went well holds: each costs requests."""


class ObjectStore:
    """Keeps blobs as objects of a bucket, which processes of any host share.

    An object is there whole or not at all, and named in Redis only after that. What a writer that was killed
    has left is an orphan like any other; but parts of a long one (more than 8 MiB) that was not written to
    its end are for a rule of the bucket to remove.

    Args:
        bucket: The bucket.
        prefix: Below which name; empty for the whole bucket.
        name: What people call it.
    """

    def __init__(self, bucket: Bucket, prefix: str, name: str) -> None:
        self._bucket = bucket
        self._begin = f"{prefix}/" if prefix else ""
        self._name = name
        self._id = ""
        self._owner = ""
        self._checked_until = 0.0

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Makes the store of a URL `s3://bucket/prefix`.

        Raises:
            StoreUnavailableError: It is no such URL.
        """
        if (found := _URL.fullmatch(url)) is None:
            raise StoreUnavailableError(f"Expected a blob store as s3://bucket/prefix, got {url!r}.")
        return cls(Bucket(found[1], f"The blob store {url}"), found[2], url)

    @property
    def name(self) -> str:
        """The URL."""
        return self._name

    @property
    def is_local(self) -> bool:
        """See `BlobStore`."""
        return False

    @property
    def held_bytes(self) -> int:
        """See `BlobStore`."""
        return MOST_HELD_BYTES

    def identify(self) -> str:
        """Returns what the object `STORE_MARK` says: below another prefix it says something else."""
        if not self._id:
            self._id = self._read_or_make_mark(STORE_MARK, make_id())
        return self._id

    @property
    def is_identified(self) -> bool:
        """See `BlobStore`."""
        return bool(self._id)

    def check(self) -> None:
        """Returns if this is still the store that `identify` has named; asks for that only now and then."""
        self.identify()
        if time.monotonic() < self._checked_until:
            return
        if self._bucket.read_mark(self._begin + STORE_MARK) != self._id:
            raise StoreUnavailableError(
                f"The blob store {self.name} is not the one that it was: its mark is gone or another."
            )
        self._checked_until = time.monotonic() + _CHECKED_SECONDS

    def belongs_to(self, queue_id: str) -> bool:
        """See `BlobStore`. The object `QUEUE_MARK` tells."""
        if time.monotonic() >= self._checked_until or not self._owner:
            self.check()
            self._owner = self._read_or_make_mark(QUEUE_MARK, queue_id)
        return self._owner == queue_id

    def write(self, key: str, data: Buffer, *, is_synced: bool = False, reserve_bytes: int = 0) -> None:  # noqa: ARG002
        """See `BlobStore`. What it has taken is stored durably; how much room it has nobody can ask it."""
        self.identify()
        self._bucket.write(self._find_path(key), data)

    def write_pieces(
        self,
        key: str,
        size: int,  # noqa: ARG002
        pieces: Iterable[Buffer],
        *,
        is_synced: bool = False,  # noqa: ARG002
        reserve_bytes: int = 0,  # noqa: ARG002
    ) -> None:
        """See `BlobStore`, and `write`."""
        self.identify()
        self._bucket.write_pieces(self._find_path(key), pieces)

    def read(self, key: str, size: int) -> memoryview:
        """See `BlobStore`."""
        self.identify()
        with self._absence():
            return self._bucket.read(self._find_path(key), size)

    def read_part(self, key: str, size: int, first: int, length: int) -> bytes:
        """See `BlobStore`."""
        self.identify()
        with self._absence():
            return self._bucket.read_part(self._find_path(key), size, first, length)

    def measure(self, key: str) -> int:
        """See `BlobStore`."""
        self.identify()
        with self._absence():
            return self._bucket.measure(self._find_path(key))

    def delete(self, keys: Iterable[str]) -> None:
        """See `BlobStore`."""
        self.identify()
        self._bucket.delete([self._find_path(key) for key in keys])

    def list_page(self, cursor: str = "") -> BlobPage:
        """See `BlobStore`. Objects that are not ours are left out."""
        self.identify()
        now = self._bucket.read_clock(self._begin + _CLOCK)
        begin = f"{self._begin}{_BLOBS}"
        objects, has_more = self._bucket.list_page(begin, f"{begin}/{unquote(cursor)}" if cursor else "")
        blobs = [
            BlobInfo(key, found.size, (now - found.modified_at).total_seconds())
            for found in objects
            if (key := read_file_name(found.key.removeprefix(f"{begin}/")))
        ]
        last = quote(objects[-1].key.removeprefix(f"{begin}/")) if has_more else ""
        return BlobPage(blobs, last)

    def measure_space(self) -> None:
        """See `BlobStore`."""

    def sign(self, method: Literal["GET", "PUT"], key: str, expires_seconds: float) -> str:
        """See `BlobStore`. It needs no other credentials."""
        return self._bucket.sign(method, self._find_path(key), expires_seconds)

    def _find_path(self, key: str) -> str:
        return f"{self._begin}{_BLOBS}/{name_file(key)}"

    def _read_or_make_mark(self, mark: str, new_id: str) -> str:
        path = self._begin + mark
        found = self._bucket.read_mark(path)
        if not found:
            self._bucket.create(path, new_id.encode())
            found = self._bucket.read_mark(path)
        if not is_id(found):
            raise StoreUnavailableError(
                f"The object {mark!r} in the blob store {self.name} holds what inferq has not written; "
                "remove it."
            )
        return found

    @contextmanager
    def _absence(self) -> Iterator[None]:
        """Sees to it that what is not there is not missing just because the store is another one."""
        try:
            yield
        except BlobNotFoundError:
            self._checked_until = 0.0
            self.check()
            raise
