"""What is said of a model's file that is there and cannot be read."""

from pathlib import Path

from inferq.errors import InvalidModelError


def make_read_error(path: Path, error: OSError) -> InvalidModelError:
    """Returns the error of a model whose file could not be read."""
    if isinstance(error, IsADirectoryError):
        return InvalidModelError(f"{path} is a folder. Expected a file.")
    return InvalidModelError(f"{path} cannot be read: {error.strerror}. Check its permissions.")
