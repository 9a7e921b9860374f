"""Files that are written while their content comes."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from inferq.errors import InvalidInputError


@contextmanager
def open_download(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that is at its place once all has been written; if something fails, nothing has changed.

    Args:
        path: Its place.

    Raises:
        InvalidInputError: No file can be written there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = part.open("xb")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}.") from error
    try:
        with file:
            yield file
        try:
            part.replace(path)
        except OSError as error:  # such as a folder of that name
            raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
