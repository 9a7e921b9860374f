"""Marks by which a store is known again: processes that read the same in them share the store."""

import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

STORE_MARK, QUEUE_MARK = ".inferq-blobs", ".inferq-queue"
_ID_BYTES = 8
_WRITING_SECONDS = 2.0
"""How long another process may take between making a file and writing its digits."""
_POLL_SECONDS = 0.01


def make_id() -> str:
    """Makes an id for a store, or a queue."""
    return secrets.token_hex(_ID_BYTES)


def is_id(text: str) -> bool:
    """Whether that is an id as `make_id` makes them."""
    return re.fullmatch(rf"[0-9a-f]{{{2 * _ID_BYTES}}}", text) is not None


def read_or_make_mark(path: Path, new_id: str, mode: int) -> str:
    """Reads the id in a file; writes one where there is no such file.

    Args:
        path: The file.
        new_id: What to write.
        mode: Who may read and write the file.

    Raises:
        OSError: It can be neither read nor made.
    """
    with suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.write(file, new_id.encode())
            os.fsync(file)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
    return read_mark(path)


def read_mark(path: Path) -> str:
    """Reads the id in a file.

    Raises:
        OSError: It cannot be read.
    """
    deadline = time.monotonic() + _WRITING_SECONDS
    while len(found := path.read_text("ascii", "replace").strip()) != 2 * _ID_BYTES:
        if time.monotonic() > deadline:
            raise OSError(f"{path} holds what inferq has not written; remove it")
        time.sleep(_POLL_SECONDS)
    return found
