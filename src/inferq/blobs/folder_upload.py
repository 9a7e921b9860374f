"""A file of a folder store that comes part by part, and is there when all of it has come."""

import os
from collections.abc import Buffer, Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from inferq.blobs.file_writes import FOLDER_MODE, write_all


class FolderUpload:
    """One such file. All of it blocks, so it is for threads.

    Args:
        file: The open file that takes the parts.
        begun: Where that is.
        path: Where it belongs.
        errors: Makes errors of the system ours.
    """

    def __init__(
        self, file: int, begun: Path, path: Path, errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._file, self._begun, self._path = file, begun, path
        self._errors = errors

    def add(self, part: Buffer) -> None:
        """Writes the next bytes.

        Raises:
            QueueFullError: The disk is full.
            StoreUnavailableError: The folder cannot be used.
        """
        with self._errors():
            write_all(self._file, memoryview(part).cast("B"))

    def finish(self) -> None:
        """Puts the file where it belongs, in the place of one that is there. Errors are those of `add`."""
        with self._errors():
            self._close()
            self._path.parent.mkdir(FOLDER_MODE, exist_ok=True)
            self._begun.replace(self._path)

    def abandon(self) -> None:
        """Removes what was written."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._begun.unlink()

    def _close(self) -> None:
        """Closes the file, once: its number may be another file's after that."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
