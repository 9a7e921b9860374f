"""How files and folders of a folder store are written."""

import os
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o660, 0o770
"""Processes of one group share them."""


def write_all(file: int, rest: memoryview) -> None:
    """Writes bytes to an open file, all of them.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_folder(folder: Path) -> None:
    """Returns once the names of the files in a folder are on disk.

    Raises:
        OSError: The folder cannot be read, or not be synced.
    """
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
