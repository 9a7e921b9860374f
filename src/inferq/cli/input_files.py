"""Data from the command line: an argument, a JSON or NumPy file, or standard input."""

import json
import math
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from inferq.errors import InvalidInputError


def read_data(argument: str | None, file: Path | None) -> Any:  # noqa: ANN401 - JSON, or an array
    """Reads the data of a job.

    Args:
        argument: JSON.
        file: A NumPy file, if its name ends in `.npy`, else one of JSON; `-` for JSON on standard input.

    Raises:
        InvalidInputError: There is none, or two, or it cannot be read.
    """
    if (argument is None) == (file is None):
        raise InvalidInputError("Give the data either as an argument or with --file.")
    if argument is not None:
        return _parse(argument, "The data")
    assert file is not None  # noqa: S101 - seen above
    if file.suffix.lower() == ".npy":
        return _read_npy(file)
    return _parse(read_text(file), "Standard input" if str(file) == "-" else str(file))


def read_text(file: Path) -> str:
    """Reads a text in UTF-8, whatever the locale. A byte order mark is passed over; line ends are kept.

    Args:
        file: The file; `-` for standard input.

    Raises:
        InvalidInputError: It cannot be read, or is in another encoding.
    """
    is_input = str(file) == "-"
    name = "Standard input" if is_input else str(file)
    try:
        if is_input and sys.stdin is None:
            raise InvalidInputError("Standard input is closed.")
        return (sys.stdin.buffer.read() if is_input else file.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name} is not UTF-8. Save it as UTF-8.") from error


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


def _read_npy(file: Path) -> Any:  # noqa: ANN401 - an array
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise InvalidInputError(f"Reading {file} needs NumPy: pip install numpy.") from error
    try:
        return np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InvalidInputError(f"{file} is no NumPy array of numbers or strings: {error}.") from error
