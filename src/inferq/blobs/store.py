"""What every blob store can do."""

from collections.abc import Buffer, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol


class BlobInfo(NamedTuple):
    """A blob as a listing shows it.

    Attributes:
        key: Its key.
        size: Its length, bytes.
        age_seconds: Since when it is there, by the store's own clock.
    """

    key: str
    size: int
    age_seconds: float


class BlobPage(NamedTuple):
    """A part of a listing.

    Attributes:
        blobs: Some blobs, in any order.
        cursor: Where the next page begins; empty: there are no more.
    """

    blobs: Sequence[BlobInfo]
    cursor: str


class BlobStore(Protocol):
    """A store. All of it blocks and may be called by any thread.

    Every method raises StoreUnavailableError where the store cannot be used.
    """

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk of this machine; False before `identify` was called."""

    @property
    def held_bytes(self) -> int:
        """Most bytes that `write_pieces` has in memory besides the piece that it writes."""

    def identify(self) -> str:
        """Returns the store's id, by which processes know that they share it. The first call makes it."""

    @property
    def is_identified(self) -> bool:
        """Whether `identify` has returned."""

    def check(self) -> None:
        """Returns if this is still the store that `identify` has named."""

    def belongs_to(self, queue_id: str) -> bool:
        """Whether this is the store of that queue. The first queue that asks gets it.

        Blobs that no key of another queue names may still be named by keys of this one.
        """

    def write(self, key: str, data: Buffer, *, is_synced: bool = False, reserve_bytes: int = 0) -> None:
        """Writes a blob. Once that has returned, every process that shares the store can read it.

        Args:
            key: A key that was never used.
            data: All of it.
            is_synced: Whether the disk must hold it by then.
            reserve_bytes: Space to leave.

        Raises:
            QueueFullError: There is no room for it. Nothing is left of it.
        """

    def write_pieces(
        self,
        key: str,
        size: int,
        pieces: Iterable[Buffer],
        *,
        is_synced: bool = False,
        reserve_bytes: int = 0,
    ) -> None:
        """Writes a blob as `write` does, without all of it in memory.

        Args:
            key: A key that was never used.
            size: How many bytes all pieces have.
            pieces: All of it, in order. Where one cannot be read, nothing is left of the others.
            is_synced: Whether the disk must hold it by then.
            reserve_bytes: Space to leave.

        Raises:
            QueueFullError: There is no room for it. Nothing is left of it.
        """

    def read(self, key: str, size: int) -> memoryview:
        """Reads a whole blob, without a copy where that can be had.

        Args:
            key: Its key.
            size: How long it is to be, bytes.

        Raises:
            BlobNotFoundError: It is not there, or of another length.
        """

    def read_part(self, key: str, size: int, first: int, length: int) -> bytes:
        """Reads a part of a blob; less where it ends.

        Args:
            key: Its key.
            size: How long the whole is to be, bytes.
            first: Where the part begins.
            length: How long it is, bytes.

        Raises:
            BlobNotFoundError: It is not there, or of another length.
        """

    def measure(self, key: str) -> int:
        """Returns how long a blob is, bytes.

        Raises:
            BlobNotFoundError: It is not there.
        """

    def sign(self, method: Literal["GET", "PUT"], key: str, expires_seconds: float) -> str | None:
        """Makes a URL with which others may read or write one blob; None where no server gives blobs.

        Args:
            method: What they may do.
            key: The blob's key.
            expires_seconds: How long they may.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes blobs; those that are not there count as deleted. Who reads one goes on reading it."""

    def list_page(self, cursor: str = "") -> BlobPage:
        """Lists some of the blobs.

        Args:
            cursor: That of the page before; empty to begin.
        """

    def measure_space(self) -> int | None:
        """Returns how many bytes there is room for; None for a store without an end."""
