"""The version of a model: a digest of its ONNX file and of its external data."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from inferq.errors import InvalidModelError

_VERSION_DIGITS = 12


def read_version(file: Path, external_files: Sequence[str]) -> str:
    """Returns the version of a model.

    Args:
        file: Its ONNX file.
        external_files: Names of the files beside it that hold weights.

    Returns:
        The first 12 hex digits of the file's SHA-256; with external files, of the SHA-256 of what `sha256sum`
        prints for all of them.

    Raises:
        InvalidModelError: A file cannot be read, does not exist, or is outside the folder.
    """
    digest = _hash_file(file)
    if not external_files:
        return digest[:_VERSION_DIGITS]
    lines = [f"{digest}  {file.name}\n"]
    for name in external_files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InvalidModelError(
                f"{file} has weights in {name!r}, outside its folder. Save it again with its data beside it."
            )
        if not (file.parent / name).exists():
            raise InvalidModelError(
                f"{file} has weights in {name!r}, but {file.parent / name} does not exist. Copy it there, "
                "under that name."
            )
        lines.append(f"{_hash_file(file.parent / name)}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:_VERSION_DIGITS]


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
