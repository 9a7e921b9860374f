"""A bucket behind an S3 API, which `obstore` talks to: imported only where one is used."""

from collections.abc import Buffer, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError
from obstore.store import S3Store

from inferq.blobs.bucket_errors import bucket_errors
from inferq.errors import BlobNotFoundError

PART_BYTES = 8 * 1024 * 1024
"""What is longer travels in parts of so many bytes: one has to be sent again where the network fails."""
_PARTS_AT_ONCE = 3
MOST_HELD_BYTES = (_PARTS_AT_ONCE + 2) * PART_BYTES
"""Of one object that is written in pieces: the parts that travel, the one that is gathered, and the first."""
_PAGE_OBJECTS = 1000
"""As many as S3 lists, and deletes, in one request."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
"""Longest time for a request that carries little: as many bytes as below. Requests of clients wait for it."""
_LITTLE_BYTES = 1024 * 1024
_PART_SECONDS = 60.0
"""Longest time for a part: on a slower network than 1 Mbit/s what is long cannot be stored."""
_RETRIES = 4
"""How often a request that failed is sent again, unless the longest time for one has passed by then."""
_LONGEST_PAUSE_SECONDS = 2.0


class FoundObject(NamedTuple):
    """An object as a listing shows it.

    Attributes:
        key: Its key.
        size: Its length, bytes.
        modified_at: When it was written, by the store's clock.
    """

    key: str
    size: int
    modified_at: datetime


class Bucket:
    """Reads and writes the objects of one bucket. All of it blocks and may be called by any thread.

    Endpoint and credentials are those of the environment, by the names that other programs use as well
    (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and others). Each request ends within a bounded time, and is
    sent again a few times where that may help. Every method raises StoreUnavailableError, or one of its
    kinds, where the bucket cannot be used.

    Args:
        name: The bucket.
        called: What errors call it, as "The blob store s3://bucket/prefix".
    """

    def __init__(self, name: str, called: str) -> None:
        self._called = called
        self._quick = _connect(name, _ANSWER_SECONDS)
        self._patient = _connect(name, _PART_SECONDS)

    def create(self, key: str, data: bytes) -> bool:
        """Writes an object unless there is one; returns whether there was none."""
        with bucket_errors(self._called):
            try:
                obstore.put(self._quick, key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def write(self, key: str, data: Buffer) -> None:
        """Writes an object. It is there whole, or not at all.

        Raises:
            QueueFullError: There is no room for it.
        """
        view = memoryview(data).cast("B")
        with bucket_errors(self._called):
            obstore.put(
                self._choose(len(view)),
                key,
                view,
                use_multipart=len(view) > PART_BYTES,
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def write_pieces(self, key: str, pieces: Iterable[Buffer]) -> None:
        """Writes an object as `write` does, with only a few parts of it in memory.

        Where a piece cannot be read, that error is raised, and nothing is left of the others. Where this
        process is killed meanwhile, the bucket keeps the parts until its rule for those removes them.

        Raises:
            QueueFullError: There is no room for it.
        """
        rest, begin = iter(pieces), bytearray()
        while len(begin) <= PART_BYTES and (piece := next(rest, None)) is not None:
            begin += memoryview(piece).cast("B")
        if len(begin) <= PART_BYTES:
            self.write(key, begin)
            return
        faults: list[BaseException] = []
        try:
            with bucket_errors(self._called):
                obstore.put(
                    self._patient,
                    key,
                    _watch(chain((begin,), rest), faults),
                    chunk_size=PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except Exception:
            if faults:
                raise faults.pop() from None  # else error and list refer to one another, and keep the parts
            raise

    def read_mark(self, key: str) -> str:
        """Returns the text of a short object; nothing where it is not there."""
        try:
            with bucket_errors(self._called, key):
                return str(obstore.get(self._quick, key).bytes().to_bytes(), "ascii", "replace").strip()
        except BlobNotFoundError:
            return ""

    def measure(self, key: str) -> int:
        """Returns how long an object is, bytes.

        Raises:
            BlobNotFoundError: It is not there.
        """
        return self._find(key).size

    def read(self, key: str, size: int) -> memoryview:
        """Reads a whole object.

        Args:
            key: Its key.
            size: How long it is to be, bytes.

        Raises:
            BlobNotFoundError: It is not there, or of another length.
        """
        if size > PART_BYTES:
            return self._read_parts(key, size)
        with bucket_errors(self._called, key):
            found = obstore.get(self._choose(size), key)
            self._check_length(key, found.meta["size"], size)
            return memoryview(found.bytes())

    def read_part(self, key: str, size: int, first: int, length: int) -> bytes:
        """Reads a part of an object; less where it ends. See `BlobStore.read_part`."""
        length = max(0, min(length, size - first))
        if not length:
            self._check_length(key, self.measure(key), size)
            return b""
        with bucket_errors(self._called, key):
            options: obstore.GetOptions = {"range": (first, first + length)}
            found = obstore.get(self._choose(length), key, options=options)
            self._check_length(key, found.meta["size"], size)
            return bytes(found.bytes())

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes objects, in as few requests as can be; those that are not there count as deleted."""
        if keys:
            with bucket_errors(self._called):
                obstore.delete(self._quick, keys)

    def list_page(self, prefix: str, after: str = "") -> tuple[list[FoundObject], bool]:
        """Lists some objects in the order of their keys.

        Args:
            prefix: Below which; only whole names between slashes.
            after: The key after which to begin; empty: with the first.

        Returns:
            The objects; and whether there may be more.
        """
        with bucket_errors(self._called):
            stream = obstore.list(self._quick, prefix, offset=after or None, chunk_size=_PAGE_OBJECTS)
            found = [FoundObject(one["path"], one["size"], one["last_modified"]) for one in next(stream, ())]
        return found, len(found) == _PAGE_OBJECTS

    def read_clock(self, key: str) -> datetime:
        """Writes an empty object; returns when that was by the store's clock."""
        self.write(key, b"")
        return self._find(key).modified_at

    def sign(self, method: Literal["GET", "PUT"], key: str, expires_seconds: float) -> str:
        """Makes a URL with which others may read or write one object, without credentials.

        Args:
            method: What they may do.
            key: The object.
            expires_seconds: How long they may.
        """
        with bucket_errors(self._called):
            return obstore.sign(self._quick, method, key, timedelta(seconds=expires_seconds))

    def _read_parts(self, key: str, size: int) -> memoryview:
        self._check_length(key, self.measure(key), size)
        data = bytearray(size)
        step = PART_BYTES * _PARTS_AT_ONCE
        for first in range(0, size, step):
            starts = range(first, min(first + step, size), PART_BYTES)
            ends = [min(start + PART_BYTES, size) for start in starts]
            with bucket_errors(self._called, key):
                parts = obstore.get_ranges(self._patient, key, starts=starts, ends=ends, coalesce=0)
            for start, end, part in zip(starts, ends, parts, strict=True):
                self._check_length(key, start + len(part), end)
                data[start:end] = memoryview(part)
        return memoryview(data).toreadonly()

    def _find(self, key: str) -> FoundObject:
        with bucket_errors(self._called, key):
            try:
                found = obstore.head(self._quick, key)
            except (FileNotFoundError, PermissionDeniedError):
                found = obstore.get(self._quick, key).meta  # its answer says why, for which HEAD has no body
        return FoundObject(key, found["size"], found["last_modified"])

    def _choose(self, size: int) -> S3Store:
        return self._quick if size <= _LITTLE_BYTES else self._patient

    def _check_length(self, key: str, found: int, expected: int) -> None:
        if found != expected:
            raise BlobNotFoundError(
                f"{self._called} has {found} bytes as {key!r}, and {expected} were written."
            )


def _connect(name: str, seconds: float) -> S3Store:
    """Makes a client; it connects when it is used. An endpoint with `http://` is taken as it is named."""
    return S3Store(
        name,
        client_options={
            "allow_http": True,
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=seconds),
            "backoff": {"max_backoff": timedelta(seconds=_LONGEST_PAUSE_SECONDS)},
        },
    )


def _watch(pieces: Iterable[Buffer], faults: list[BaseException]) -> Iterator[Buffer]:
    """Passes pieces on; notes why one cannot be read, which is no fault of the bucket."""
    try:
        yield from pieces
    except Exception as error:
        faults.append(error)
        raise
