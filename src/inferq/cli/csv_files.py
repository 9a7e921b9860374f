"""CSV files: the model's document decides what a cell means, and whether the first line is a header."""

import csv
import io
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inferq.client.data_frames import Frame, are_numbers, arrange
from inferq.errors import InvalidInputError

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_BOOLEANS = {"true": True, "false": False}


class _Line(NamedTuple):
    """A record of the file, and the number of the line that it begins in."""

    number: int
    cells: list[str]


class CsvData(NamedTuple):
    """What a CSV file holds.

    Attributes:
        data: Data of a job, as JSON has it.
        notes: What was assumed, in sentences.
    """

    data: Any
    notes: list[str]


def read_csv(text: str, document: Mapping[str, Any], *, has_header: bool | None = None) -> CsvData:
    """Reads columns for a model.

    Columns with a header are found by their names: those of the model's features, or of its inputs. Cells of
    a text model are texts exactly as they are written, those of others numbers; an empty one among floats is
    a missing value.

    Args:
        text: The file. Commas, semicolons or tabs separate the cells: the one that gives as many
            as the model takes.
        document: The model's document.
        has_header: Whether the first line is a header; None where the document is to decide.

    Raises:
        InvalidInputError: There are no rows, they differ in length, a cell does not fit, a column is missing,
            or it cannot be known whether there is a header.
    """
    wanted = _find_names(document)
    delimiter = _choose_delimiter(text, wanted, document)
    lines = _read_lines(text, delimiter)
    if not lines:
        raise InvalidInputError("The CSV file is empty. Expected lines of cells with commas between.")
    first = repr(delimiter.join(lines[0].cells)[:80])
    if has_header is None:
        has_header = _has_header(lines[0].cells, wanted, document)
    if has_header is None:
        raise InvalidInputError(
            f"The first line of the CSV file, {first}, may be a header or a row. Say --header or --no-header."
        )
    notes = [f"The cells are separated by {_DELIMITERS[delimiter]}."] if delimiter != "," else []
    notes.append(f"The first line is {'a header' if has_header else 'a row, not a header'}.")
    header = lines.pop(0).cells if has_header else None
    if not lines:
        raise InvalidInputError(
            f"The only line of the CSV file, {first}, is taken for a header. Add rows, or say --no-header if "
            "this is a row."
        )
    columns: list[Sequence[str]] = list(zip(*(line.cells for line in lines), strict=True))
    names = [name.strip() for name in header] if header else None
    if names and wanted and set(wanted) < set(names):
        left_out = [name for name in names if name not in wanted]
        notes.append(f"Columns that the model has not are left out: {', '.join(map(repr, left_out))}.")
        columns = [column for name, column in zip(names, columns, strict=True) if name in wanted]
        names = [name for name in names if name in wanted]

    def read(column: Sequence[str], datatype: str, name: str) -> list[Any]:
        try:
            return [_parse_cell(cell, datatype) for cell in column]
        except ValueError:
            row = next(row for row, cell in enumerate(column) if not _fits(cell, datatype))
            raise InvalidInputError(
                f"Line {lines[row].number} of the CSV file, column {name!r}: "
                f"expected {_describe_expected(datatype)}, got {column[row][:80]!r}."
            ) from None

    return CsvData(arrange(Frame(names, columns), document, read), notes)


def _find_names(document: Mapping[str, Any]) -> list[str] | None:
    """Returns the names that columns must have; None where the model has no names."""
    if len(document["inputs"]) > 1:
        return [tensor["name"] for tensor in document["inputs"]]
    return document.get("feature_names")


def _choose_delimiter(text: str, wanted: list[str] | None, document: Mapping[str, Any]) -> str:
    """Chooses the one by which the first line has the model's names, or as many cells as it takes."""
    shape = document["inputs"][0]["shape"]
    count = len(wanted) if wanted else shape[-1] if len(shape) > 1 else 1
    if count != 1:  # a single column has nothing between its cells
        for delimiter in _DELIMITERS:
            first = next(iter(_read_lines(text, delimiter, at_most=1)), _Line(0, [])).cells
            names = {name.strip() for name in first}
            if (wanted and names >= set(wanted)) or len(first) == count or (count < 0 and len(first) > 1):
                return delimiter
    return ","


def _read_lines(text: str, delimiter: str, at_most: int = sys.maxsize) -> list[_Line]:
    csv.field_size_limit(sys.maxsize)
    # strict: a quote that is never closed would make one cell of the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[_Line] = []
    number = 1
    blank = 0
    try:
        for cells in reader:
            if not cells:
                blank = blank or number
            elif blank and len(cells) == 1 and lines:
                raise InvalidInputError(
                    f'Line {blank} of the CSV file is blank. Write "" for an empty text, or take it out.'
                )
            else:
                lines.append(_Line(number, cells))
                if len(cells) != len(lines[0].cells):
                    raise InvalidInputError(
                        f"Line {number} of the CSV file has {len(cells)} cells, but the first has "
                        f"{len(lines[0].cells)}. Put a text with a {delimiter!r} in it between quotes."
                    )
                if len(lines) >= at_most:
                    break
            number = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(f"Line {number} of the CSV file cannot be read: {error}.") from error
    return lines


def _has_header(first: Sequence[str], wanted: list[str] | None, document: Mapping[str, Any]) -> bool | None:
    """Whether the first line is a header; None where it may be one or not."""
    inputs = document["inputs"]
    names = [name.strip() for name in first]
    if len(inputs) > 1 or names == [inputs[0]["name"]] or (wanted and set(wanted) <= set(names)):
        return True
    datatype = inputs[0]["datatype"]
    # an empty cell is a missing value in a row, and in a header the name of pandas' index
    fitting = {_fits(name, datatype) for name in names if name}
    # a line with both is a row with a bad cell more often than a header, as which it would be lost
    if datatype == "BYTES" or are_numbers(names) or len(fitting) > 1:
        return None
    return False in fitting


def _fits(cell: str, datatype: str) -> bool:
    try:
        _parse_cell(cell, datatype)
    except ValueError:
        return False
    return True


def _parse_cell(cell: str, datatype: str) -> Any:  # noqa: ANN401 - JSON
    """Returns the value of a cell.

    Raises:
        ValueError: It is not a value of this datatype.
    """
    if datatype == "BYTES":
        return cell
    stripped = cell.strip()
    if datatype == "BOOL":
        if stripped.lower() in _BOOLEANS:
            return _BOOLEANS[stripped.lower()]
        raise ValueError
    if not datatype.startswith("FP"):
        if _INTEGER.fullmatch(stripped):
            return int(stripped)
        raise ValueError
    if not stripped:
        return None
    if "_" in stripped or not stripped.isascii():  # Python reads 1_000 as a number
        raise ValueError
    value = float(stripped)
    if math.isinf(value) and "inf" not in stripped.lower():
        raise ValueError  # a number that is too large for any float
    return value


def _describe_expected(datatype: str) -> str:
    if datatype == "BOOL":
        return "true or false"
    if datatype.startswith("FP"):
        return "a number with a decimal point, or nothing for a missing value"
    return f"a whole number ({datatype})"
