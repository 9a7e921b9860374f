"""A folder as a blob store: a file for each blob, below one of 256 folders."""

import errno
import mmap
import os
import time
from collections.abc import Buffer, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal, Self

from inferq.blobs.file_systems import is_on_local_disk
from inferq.blobs.file_writes import FILE_MODE, FOLDER_MODE, sync_folder, write_all
from inferq.blobs.folder_upload import FolderUpload
from inferq.blobs.keys import name_file, read_file_name, rename_key
from inferq.blobs.store import BlobInfo, BlobPage
from inferq.blobs.store_mark import QUEUE_MARK, STORE_MARK, make_id, read_mark, read_or_make_mark
from inferq.errors import BlobNotFoundError, QueueFullError, StoreUnavailableError

_FOLDERS = 256
_PAGE_BLOBS = 1000
_FREE_SECONDS = 0.25
"""How long the free space is not asked for again: that takes a third of the time of a small write."""
_MOST_UNSYNCED_BYTES = 64 * 1024 * 1024
"""More of a blob that has to be on disk is synced while the rest comes, instead of all of it at its end."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class FolderStore:
    """Keeps blobs as files of one folder, which processes share.

    A file is written once, under a name that no other ever has, and named in Redis only when all of it is
    there. So none is renamed, none is truncated, and what a writer that was killed has left is an orphan
    like any other. Its length is checked before it is mapped: to touch a page beyond the end of a file would
    end the process (SIGBUS). On a network file system, where another host may remove a file that is mapped
    here, files are read instead.

    Args:
        folder: The folder; it is made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._id = ""
        self._free_bytes, self._free_until = 0, 0.0
        self._is_local = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Makes the store of a URL `file:///…`."""
        return cls(Path.from_uri(url))

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def is_local(self) -> bool:
        """See `BlobStore`. Only then are files mapped."""
        return self._is_local

    @property
    def held_bytes(self) -> int:
        """See `BlobStore`: none, as the system's cache is nobody's."""
        return 0

    def identify(self) -> str:
        """Returns what the file `STORE_MARK` in the folder says: another folder's says something else."""
        if not self._id:
            with self._errors():
                self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
                self._is_local = is_on_local_disk(self._folder)
                if not self._is_local:
                    self._make_folders()
                self._id = read_or_make_mark(self._folder / STORE_MARK, make_id(), FILE_MODE)
        return self._id

    @property
    def is_identified(self) -> bool:
        """See `BlobStore`."""
        return bool(self._id)

    def check(self) -> None:
        """Returns if this is still the folder that `identify` has named, and takes files."""
        self._check_mark()
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise StoreUnavailableError(f"The blob store {self.name} cannot be written to by this process.")

    def _check_mark(self) -> None:
        """Returns if this is still the folder that `identify` has named, and not what was mounted over it."""
        self.identify()
        with self._errors():
            try:
                found = read_mark(self._folder / STORE_MARK)
            except FileNotFoundError:
                found = ""
        if found != self._id:
            raise StoreUnavailableError(
                f"The blob store {self.name} is not the folder that it was: it may have been unmounted."
            )

    def belongs_to(self, queue_id: str) -> bool:
        """See `BlobStore`. The file `QUEUE_MARK` tells."""
        self.check()
        with self._errors():
            return read_or_make_mark(self._folder / QUEUE_MARK, queue_id, FILE_MODE) == queue_id

    def write(self, key: str, data: Buffer, *, is_synced: bool = False, reserve_bytes: int = 0) -> None:
        """See `BlobStore`."""
        view = memoryview(data).cast("B")
        self.write_pieces(key, len(view), (view,), is_synced=is_synced, reserve_bytes=reserve_bytes)

    def write_pieces(
        self,
        key: str,
        size: int,
        pieces: Iterable[Buffer],
        *,
        is_synced: bool = False,
        reserve_bytes: int = 0,
    ) -> None:
        """See `BlobStore`."""
        self.identify()
        path = self._find_path(key)
        self._check_room(size, reserve_bytes)
        with self._errors(may_be_full=True):
            file = self._create(path)
            try:
                try:
                    unsynced = 0
                    for piece in pieces:
                        view = memoryview(piece).cast("B")
                        write_all(file, view)
                        unsynced += len(view)
                        if is_synced and unsynced >= _MOST_UNSYNCED_BYTES:
                            os.fdatasync(file)
                            unsynced = 0
                    if is_synced:
                        os.fsync(file)
                finally:
                    os.close(file)  # some file systems say only now that there was no room
                if is_synced:
                    sync_folder(path.parent)
            except BaseException:  # also where a piece cannot be read
                with suppress(OSError):
                    path.unlink()
                raise

    def read(self, key: str, size: int) -> memoryview:
        """See `BlobStore`. The file stays mapped as long as anything of it is referred to."""
        self.identify()
        with self._errors(), self._open(key, size) as file:
            if self._is_local and size:
                flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
                return memoryview(mmap.mmap(file, size, flags, mmap.PROT_READ, trackfd=False))
            data = memoryview(bytearray(size))
            self._read_into(data, file, 0, key)
            return data.toreadonly()

    def read_part(self, key: str, size: int, first: int, length: int) -> bytes:
        """See `BlobStore`."""
        self.identify()
        part = bytearray(max(0, min(length, size - first)))
        with self._errors(), self._open(key, size) as file:
            self._read_into(memoryview(part), file, first, key)
        return bytes(part)

    def measure(self, key: str) -> int:
        """See `BlobStore`."""
        self.identify()
        with self._errors():
            try:
                return self._find_path(key).stat().st_size
            except FileNotFoundError as error:
                raise self._make_absence_error(key) from error

    def sign(self, method: Literal["GET", "PUT"], key: str, expires_seconds: float) -> None:
        """See `BlobStore`."""

    def open_upload(self, key: str, size: int, reserve_bytes: int) -> FolderUpload:
        """Begins to write a blob that comes part by part, and may be there already.

        Args:
            key: Its key, that of an upload.
            size: How long it will be, bytes; 0 if that is not known.
            reserve_bytes: Space to leave.

        Raises:
            QueueFullError: There is no room for it.
        """
        self.identify()
        self._check_room(size, reserve_bytes)
        errors = partial(self._errors, may_be_full=True)
        # until it is whole it is a blob of its own, which the sweep finds if this process is killed
        begun = self._find_path(rename_key(key))
        with errors():
            return FolderUpload(self._create(begun), begun, self._find_path(key), errors)

    def delete(self, keys: Iterable[str]) -> None:
        """See `BlobStore`."""
        self.identify()
        with self._errors():
            for key in keys:
                self._find_path(key).unlink(missing_ok=True)

    def list_page(self, cursor: str = "") -> BlobPage:
        """See `BlobStore`. Files that are not ours are left out."""
        self.identify()
        blobs: list[BlobInfo] = []
        with self._errors():
            now = self._read_clock()
            for number in range(int(cursor or "0", 16), _FOLDERS):
                blobs += _list_folder(self._folder / f"{number:02x}", now)
                if len(blobs) >= _PAGE_BLOBS and number + 1 < _FOLDERS:
                    return BlobPage(blobs, f"{number + 1:02x}")
        return BlobPage(blobs, "")

    def measure_space(self) -> int:
        """See `BlobStore`."""
        self.identify()
        with self._errors():
            found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def _find_path(self, key: str) -> Path:
        """Returns where a blob is."""
        return self._folder / name_file(key)

    def _make_folders(self) -> None:
        """Makes all folders at once.

        On a network file system one that was looked for before it was made seems absent for some time (30 s
        with NFS), and with it the blobs in it.
        """
        for number in range(_FOLDERS):
            (self._folder / f"{number:02x}").mkdir(FOLDER_MODE, exist_ok=True)

    def _check_room(self, size: int, reserve_bytes: int) -> None:
        """Refuses what leaves too little room; asks the system only now and then, and before it refuses."""
        if time.monotonic() > self._free_until or size + reserve_bytes > self._free_bytes:
            self._free_bytes = self.measure_space()
            self._free_until = time.monotonic() + _FREE_SECONDS
        if size + reserve_bytes > self._free_bytes:
            raise self._make_full_error(
                f"it has {self._free_bytes} bytes free, of which {reserve_bytes} stay free"
            )
        self._free_bytes -= size

    def _create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, FILE_MODE)
        except FileNotFoundError:
            self._check_mark()  # else it is the first file there
            path.parent.mkdir(FOLDER_MODE, exist_ok=True)
            sync_folder(self._folder)
            return os.open(path, flags, FILE_MODE)

    @contextmanager
    def _open(self, key: str, size: int) -> Iterator[int]:
        try:
            file = os.open(self._find_path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._make_absence_error(key) from error
        try:
            self._check_length(key, os.fstat(file).st_size, size)
            yield file
        finally:
            os.close(file)

    def _make_absence_error(self, key: str) -> BlobNotFoundError:
        self._check_mark()
        return BlobNotFoundError(f"The blob store {self.name} has no blob {key!r} (any more).")

    def _read_into(self, data: memoryview, file: int, first: int, key: str) -> None:
        rest = data
        while rest:
            count = os.preadv(file, [rest], first)
            if not count:
                self._check_length(key, first, first + len(rest))
            rest, first = rest[count:], first + count

    def _check_length(self, key: str, found: int, expected: int) -> None:
        if found != expected:
            raise BlobNotFoundError(
                f"The blob {key!r} in {self.name} has {found} bytes, and {expected} were written."
            )

    def _read_clock(self) -> float:
        """Returns the time by the clock by which files get their times: another host's, perhaps."""
        mark = self._folder / STORE_MARK
        try:
            os.utime(mark)
            return mark.stat().st_mtime
        except OSError:
            return time.time()

    @contextmanager
    def _errors(self, *, may_be_full: bool = False) -> Iterator[None]:
        """Makes errors of the system ours; of a full disk one that says that it takes no more."""
        try:
            yield
        except OSError as error:
            if may_be_full and error.errno in _NO_ROOM:
                raise self._make_full_error("its disk is full") from error
            raise StoreUnavailableError(
                f"The blob store {self.name} cannot be used: {error.strerror or error}. It must be a folder "
                "that this process may write to (INFERQ_BLOB_STORE)."
            ) from error

    def _make_full_error(self, reason: str) -> QueueFullError:
        return QueueFullError(
            f"The blob store {self.name} takes no more: {reason} (INFERQ_BLOB_RESERVE_BYTES). Try again "
            "later, add workers, or give it a larger disk."
        )


def _list_folder(folder: Path, now: float) -> Iterator[BlobInfo]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if key := read_file_name(f"{folder.name}/{entry.name}"):
                with suppress(FileNotFoundError):  # it was removed at this moment
                    found = entry.stat(follow_symlinks=False)
                    yield BlobInfo(key, found.st_size, now - found.st_mtime)
