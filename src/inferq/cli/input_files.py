"""Data from the command line: an argument, a file, or standard input."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from inferq.errors import InvalidInputError
from inferq.tensors.file_types import FIRST_BYTES, NPY, NPZ, detect_file_type

_LONG_BYTES = 64 * 1024 * 1024
"""A longer array is read while it is sent, as it is, instead of being brought to the model's datatype."""


def read_data(source: str | Path) -> Any:  # noqa: ANN401 - JSON, an array, or a file for the client
    """Reads the data of a job.

    Args:
        source: JSON; or a file; `Path("-")` for standard input.

    Returns:
        JSON; of NumPy's files arrays, where NumPy is installed; of long ones, of pictures, sound and all
        others of a known type the path, or the bytes of standard input.

    Raises:
        InvalidInputError: It cannot be read, or is neither JSON nor a file of a known type.
    """
    if isinstance(source, str):
        return _parse(source, "The data")
    if is_standard_input(source):
        content = _read_bytes(source)
        file_type = detect_file_type(content[:FIRST_BYTES])
        if file_type is None:
            return _parse(_decode(content, "Standard input"), "Standard input")
        is_long = file_type is NPY and len(content) >= _LONG_BYTES
        return content if is_long or file_type not in (NPY, NPZ) else _read_arrays(content)
    file_type = detect_file_type(_read_begin(source))
    if file_type is None and source.suffix.lower() not in (".npy", ".npz"):
        return _parse(read_text(source), str(source))
    if file_type is NPY and source.stat().st_size >= _LONG_BYTES:
        return source
    return _read_arrays(source) if file_type in (NPY, NPZ, None) else source


def find_source(argument: str) -> str | Path:
    """Tells what an argument is: JSON, or the name of a file; `-` stands for standard input."""
    if argument.lstrip()[:1] in ("[", "{", '"'):
        return argument
    path = Path(argument)
    try:
        json.loads(argument)
    except ValueError:
        return path
    return path if path.exists() else argument  # a number


def is_standard_input(file: Path) -> bool:
    """Whether a file stands for standard input."""
    return str(file) == "-"


def read_text(file: Path) -> str:
    """Reads a text in UTF-8, whatever the locale. A byte order mark is passed over; line ends are kept.

    Args:
        file: The file; `-` for standard input.

    Raises:
        InvalidInputError: It cannot be read, or is in another encoding.
    """
    return _decode(_read_bytes(file), "Standard input" if is_standard_input(file) else str(file))


def _read_bytes(file: Path) -> bytes:
    try:
        if not is_standard_input(file):
            return file.read_bytes()
        if sys.stdin is None:
            raise InvalidInputError("Standard input is closed.")
        return sys.stdin.buffer.read()
    except OSError as error:
        name = "Standard input" if is_standard_input(file) else str(file)
        raise InvalidInputError(f"{name} cannot be read: {error.strerror or error}.") from error


def _read_begin(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(FIRST_BYTES)
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}.") from error


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{name} is not UTF-8, and no picture, WAV file, .npy or .npz. Save JSON and tables as UTF-8."
        ) from error


def _parse(text: str, what: str) -> Any:  # noqa: ANN401 - JSON
    try:
        value = json.loads(text, parse_float=_parse_number, object_pairs_hook=_check_members)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not JSON: {error}. An example: [[5.1, 3.5, 1.4, 0.2]]") from error
    return value["data"] if isinstance(value, dict) and value.keys() == {"data"} else value


def _parse_number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):  # it would be sent as an infinity, which is not what the file says
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _check_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} is there twice")
    return members


def _read_arrays(file: Path | bytes) -> Any:  # noqa: ANN401 - an array, or several by name
    """Reads a file of NumPy, so that its arrays can be brought to the datatypes of the inputs."""
    try:
        import numpy as np
    except ModuleNotFoundError:
        return file
    try:
        loaded = np.load(io.BytesIO(file) if isinstance(file, bytes) else file, allow_pickle=False)
        return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        name = "Standard input" if isinstance(file, bytes) else file
        raise InvalidInputError(f"{name} is no NumPy array of numbers or strings: {error}.") from error
