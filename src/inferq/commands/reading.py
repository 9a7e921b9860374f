"""Data from the command line: an argument, a JSON, CSV or NumPy file, or standard input."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from inferq.jobs import InvalidInputError


def read_data(argument: str | None, file: Path | None, feature_names: Sequence[str] | None = None) -> Any:  # noqa: ANN401
    """Reads the data of a job.

    Args:
        argument: JSON.
        file: A file whose name tells what it is: `.csv`, `.npy`, else JSON; `-` for JSON on standard input.
        feature_names: Names of the model's features, by which the columns of a CSV file with a header are put
            in order.

    Raises:
        InvalidInputError: There is none, or two, or it cannot be read.
    """
    if (argument is None) == (file is None):
        raise InvalidInputError("Give the data either as an argument or with --file.")
    if argument is not None:
        return _parse(argument, "The data")
    assert file is not None  # noqa: S101 - seen above
    try:
        if str(file) == "-":
            return _parse(sys.stdin.read(), "Standard input")
        if file.suffix.lower() == ".npy":
            return _read_npy(file)
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8. Save it as UTF-8.") from error
    return read_csv(text, feature_names) if file.suffix.lower() == ".csv" else _parse(text, str(file))


def _parse(text: str, what: str) -> Any:  # noqa: ANN401 - JSON
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not JSON: {error}. An example: [[5.1, 3.5, 1.4, 0.2]]") from error
    return value["data"] if isinstance(value, dict) and value.keys() == {"data"} else value


def read_csv(text: str, feature_names: Sequence[str] | None = None) -> list[list[Any]]:
    """Reads rows; a first line without a number is a header.

    Args:
        text: The file.
        feature_names: Order of the columns, where the header names them all.

    Raises:
        InvalidInputError: There are no rows, they differ in length, or the header lacks a feature.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise InvalidInputError(f"The CSV file cannot be read: {error}.") from error
    if rows and not any(_is_number(cell) for cell in rows[0]):
        header = [name.strip() for name in rows.pop(0)]
        _check_lengths([header, *rows])
        if missing := [name for name in feature_names or () if name not in header]:
            raise InvalidInputError(
                f"The CSV file's header lacks {', '.join(missing)}. Name the columns as the model does, or "
                "leave the header out and keep their order."
            )
        if feature_names:
            places = [header.index(name) for name in feature_names]
            rows = [[row[place] for place in places] for row in rows]
    if not rows:
        raise InvalidInputError(
            "The CSV file has no rows. Expected lines of numbers with commas between, after a header if any."
        )
    _check_lengths(rows)
    return [[_value(cell) for cell in row] for row in rows]


def _check_lengths(rows: list[list[str]]) -> None:
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InvalidInputError(
                f"Row {number} of the CSV file has {len(row)} values, but the first has {len(rows[0])}."
            )


def _is_number(cell: str) -> bool:
    return not isinstance(_value(cell), str)


def _value(cell: str) -> int | float | str:
    for kind in (int, float) if "_" not in cell else ():  # Python reads 1_000 as a number
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell.strip()


def _read_npy(file: Path) -> Any:  # noqa: ANN401 - an array
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise InvalidInputError(f"Reading {file} needs NumPy: pip install numpy.") from error
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InvalidInputError(f"{file} is no NumPy array of numbers or strings: {error}.") from error
