"""The digest of a model: of its ONNX file, its external data, and its libraries."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from inferq.errors import InvalidModelError
from inferq.models.file_errors import make_read_error

VERSION_DIGITS = 12
"""So many digits of its digest name the version of a model that has no folders of versions."""


def read_digest(
    file: Path, external_files: Sequence[str], libraries: Mapping[str, Path] | None = None
) -> str:
    """Returns the digest of a model.

    Args:
        file: Its ONNX file.
        external_files: Names of the files beside it that hold weights.
        libraries: Libraries of custom operators, by the names that its model.toml gives them.

    Returns:
        The file's SHA-256, in hex; with external files or libraries, the SHA-256 of what `sha256sum` prints
        for all of them.

    Raises:
        InvalidModelError: A file cannot be read, does not exist, or is outside the folder.
    """
    digest = _hash_file(file)
    if not external_files and not libraries:
        return digest
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
    lines += [f"{_hash_file(path)}  {name}\n" for name, path in (libraries or {}).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise make_read_error(path, error) from error
