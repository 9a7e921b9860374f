"""Data frames and other named columns, brought into the form that a model takes.

Nothing of pandas, polars or pyarrow is imported: a frame is recognised by its methods.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from inferq.client.arrays import stack_columns
from inferq.client.encoding import simplify, widen_floats
from inferq.errors import InvalidInputError

_PLAIN = {int, float, str, bool, list, tuple}
_SHORT_FLOATS = ("float16", "float32", "halffloat", "float")
"""How pandas, polars and pyarrow name floats of 16 and 32 bits."""

type Reader = Callable[[Any, str, str], list[Any]]
"""Reads a column: the column, the datatype of the input that it is for, its name for a person."""


class Frame(NamedTuple):
    """Columns of the same length.

    Attributes:
        names: Their names; None where they have none.
        columns: The columns: of pandas, polars, pyarrow or NumPy, or lists.
    """

    names: list[str] | None
    columns: Sequence[Any]


def has_names(data: Any) -> bool:  # noqa: ANN401 - whatever users hold
    """Whether data has names of columns, so that its form depends on the model."""
    if isinstance(data, Mapping):
        return any(_read_frame(one) is not None for one in data.values()) or _are_columns(data)
    return _read_frame(data) is not None


def is_table(data: Any) -> bool:  # noqa: ANN401 - whatever users hold
    """Whether it is one data frame, rather than several things."""
    return _read_table(data) is not None


def fit(data: Any, document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever users hold
    """Brings data for which `has_names` is true into the form that a model takes.

    Args:
        data: A data frame, a list of records, or a mapping of names to columns or data frames.
        document: The model's document.

    Returns:
        Rows for a model of one input, in the order of its features; or a dict of named inputs.

    Raises:
        InvalidInputError: The names contradict the model's, or JSON cannot represent a value.
    """
    frame = _read_columns(data) or _read_records(data)
    if frame is not None:
        return arrange(frame, document, _read_cells)
    parts = {name: {**document, "inputs": [tensor]} for name, tensor in list_inputs(document).items()}
    return {
        name: fit(one, parts[name]) if name in parts and has_names(one) else one for name, one in data.items()
    }


def fit_array(data: Any, document: Mapping[str, Any]) -> Any | None:  # noqa: ANN401 - an array of NumPy
    """Brings columns of numbers into one array of rows; None where that cannot be done.

    Args:
        data: Data for which `has_names` is true.
        document: The model's document.

    Raises:
        InvalidInputError: The names contradict the model's.
    """
    frame = _read_columns(data)
    inputs = document["inputs"]
    if frame is None or len(inputs) != 1 or _are_inputs(frame.names or (), document):
        return None
    positions = _find_positions(frame.names, len(frame.columns), document)
    rows = stack_columns([frame.columns[position] for position in positions])
    return rows[:, 0] if rows is not None and len(inputs[0]["shape"]) == 1 == rows.shape[1] else rows


def arrange(frame: Frame, document: Mapping[str, Any], read: Reader) -> Any:  # noqa: ANN401 - JSON
    """Puts the columns in order: by their names, or as they are where the names do not contradict that.

    Args:
        frame: The columns.
        document: The model's document.
        read: Makes a list of a column.

    Raises:
        InvalidInputError: The names contradict the model's.
    """
    names, columns = frame
    inputs = list_inputs(document)
    if names and _are_inputs(names, document):
        return {
            name: _add_axes(read(column, inputs[name]["datatype"], name), inputs[name]["shape"])
            for name, column in zip(names, columns, strict=True)
        }
    if len(document["inputs"]) != 1:
        raise InvalidInputError(
            f"Model {document['name']!r} has several inputs: name the columns as they are named, "
            f"{_join(inputs)}; got {_join(names or ())}."
        )
    [tensor] = document["inputs"]
    positions = _find_positions(names, len(columns), document)
    values = [
        read(columns[position], tensor["datatype"], names[position] if names else str(position))
        for position in positions
    ]
    if len({len(one) for one in values}) > 1:
        raise InvalidInputError(f"The columns have different lengths: {_join(len(one) for one in values)}.")
    if len(values) == 1 and len(tensor["shape"]) == 1:
        return values[0]
    return list(zip(*values, strict=True))


def list_inputs(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the inputs of a model by name, those that may be left out last.

    Args:
        document: The model's document.
    """
    return {tensor["name"]: tensor for tensor in (*document["inputs"], *document.get("optional_inputs", ()))}


def are_numbers(names: Sequence[str]) -> bool:
    """Whether columns are only numbered, in order, as pandas and polars number those without names."""
    return any(
        list(names) == [f"{prefix}{position}" for position in range(len(names))] for prefix in ("", "column_")
    )


def _are_inputs(names: Sequence[str], document: Mapping[str, Any]) -> bool:
    """Whether columns are named as inputs of a model: as all that are required, or one that is not.

    The service says what is missing then.
    """
    found = set(names)
    required = {tensor["name"] for tensor in document["inputs"]}
    inputs = list_inputs(document).keys()
    return len(found) == len(names) and found <= inputs and (required <= found or not found <= required)


def _find_positions(names: list[str] | None, count: int, document: Mapping[str, Any]) -> Sequence[int]:
    """Finds the column of each value of a row."""
    features: list[str] | None = document.get("feature_names")
    if names is None or names == features or are_numbers(names):
        return range(count)
    if not features:
        if are_numbers(sorted(names, key=lambda name: (len(name), name))):
            raise InvalidInputError(
                f"The columns are numbered, but not in order: {_join(names)}. Put them in order, or name "
                "them."
            )
        return range(count)
    if sorted(names) != sorted(features):
        faults = {
            "missing": [name for name in features if name not in names],
            "unknown": [name for name in names if name not in features],
            "there twice": sorted({name for name in names if names.count(name) > 1}),
        }
        said = "; ".join(f"{fault}: {_join(which)}" for fault, which in faults.items() if which)
        raise InvalidInputError(
            f"The columns are not those of model {document['name']!r}. {said[0].upper()}{said[1:]}. It takes "
            f"{_join(features)}, in any order; or columns without names, in this order."
        )
    return [names.index(name) for name in features]


def _join(names: Any) -> str:  # noqa: ANN401 - any iterable of anything
    return ", ".join(map(repr, names)) or "none"


def _add_axes(values: list[Any], shape: Sequence[int]) -> list[Any]:
    """Adds the axes of length 1 that the rows of an input have."""
    if values and isinstance(values[0], list | tuple):
        return values
    for size in shape[1:]:
        if size not in (1, -1):
            break  # the service says what does not fit
        values = [[value] for value in values]
    return values


def _read_frame(data: Any) -> Frame | None:  # noqa: ANN401 - whatever users hold
    return _read_table(data) or _read_records(data)


def _read_table(data: Any) -> Frame | None:  # noqa: ANN401 - whatever users hold
    """Reads a data frame or series of pandas or polars, a table of pyarrow, a structured array of NumPy."""
    fields = getattr(getattr(data, "dtype", None), "names", None)
    if fields and getattr(data, "ndim", None) == 1:
        return Frame(list(fields), [data[name] for name in fields])
    kind = type(data)  # a property of an instance would be computed
    if hasattr(kind, "iloc") and hasattr(kind, "columns"):
        names = list(map(str, data.columns))
        return Frame(names, [data.iloc[:, position] for position in range(len(names))])
    for names_of, columns_of in (("columns", "get_columns"), ("column_names", "columns")):
        if hasattr(kind, names_of) and hasattr(kind, columns_of):
            columns = getattr(data, columns_of)
            return Frame(list(getattr(data, names_of)), list(columns() if callable(columns) else columns))
    if hasattr(kind, "to_frame") and hasattr(kind, "name"):
        return Frame(None if data.name in (None, "") else [str(data.name)], [data])
    if hasattr(kind, "columns"):
        raise InvalidInputError(
            f"A {kind.__name__} is no data frame that can be read here. Make one of pandas, polars or "
            "pyarrow of it first."
        )
    return None


def _read_records(data: Any) -> Frame | None:  # noqa: ANN401 - whatever users hold
    """Reads rows whose values have names: dicts, named tuples, rows of a pandas frame."""
    if not isinstance(data, list | tuple) or not data or (first := _read_record(data[0])) is None:
        return None
    rows = [_read_record(row) for row in data]
    for number, row in enumerate(rows):
        if row is None or row.keys() != first.keys():
            raise InvalidInputError(
                f"Row {number} has the names {_join(row or ())}, but the first has {_join(first)}."
            )
    return Frame(list(first), [[row[name] for row in rows if row] for name in first])


def _read_record(row: Any) -> dict[str, Any] | None:  # noqa: ANN401 - whatever users hold
    """Returns the values of a row by name; None where they have no names."""
    if isinstance(row, Mapping):
        named = dict(row)
    elif isinstance(row, tuple) and hasattr(row, "_asdict"):
        named = row._asdict()
    elif hasattr(row, "iloc") and hasattr(row, "to_dict") and not hasattr(row, "columns"):
        named = row.to_dict()
    elif fields := getattr(getattr(row, "dtype", None), "names", None):
        named = {name: row[name] for name in fields} if getattr(row, "ndim", 0) == 0 else {}
    else:
        return None
    named = {str(name): value for name, value in named.items()}
    return named if named and not are_numbers(list(named)) else None


def _read_columns(data: Any) -> Frame | None:  # noqa: ANN401 - whatever users hold
    """Returns a mapping of names to columns, or a data frame; None for anything else."""
    if _are_columns(data):
        return Frame([str(name) for name in data], list(data.values()))
    return _read_table(data)


def _are_columns(data: Any) -> bool:  # noqa: ANN401 - whatever users hold
    """Whether every value of a mapping is a flat list or array."""
    return isinstance(data, Mapping) and bool(data) and all(map(_is_flat, data.values()))


def _is_flat(value: Any) -> bool:  # noqa: ANN401 - whatever users hold
    if isinstance(value, list | tuple):
        return not value or isinstance(value[0], str) or not hasattr(value[0], "__len__")
    return getattr(value, "ndim", None) == 1 or hasattr(value, "to_pylist") or hasattr(value, "to_list")


def _read_cells(column: Any, datatype: str, name: str) -> list[Any]:  # noqa: ANN401 - of whatever library
    """Reads the values of a column as JSON has them.

    Raises:
        InvalidInputError: JSON or the datatype cannot represent one of them.
    """
    values = _to_list(column)
    if set(map(type, values)) - _PLAIN:
        try:
            values = [
                value if type(value) in _PLAIN or value is None else simplify(value) for value in values
            ]
        except InvalidInputError as error:
            raise InvalidInputError(f"Column {name!r} cannot be sent: {error.message}") from error
    if not datatype.startswith("FP"):
        for row, value in enumerate(values):
            # an infinity is sent as a string, which a text model would take for a text
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                raise InvalidInputError(
                    f"Column {name!r} has {value} in row {row}, which {datatype} cannot represent. Fill or "
                    "drop it first."
                )
    return values


def _to_list(column: Any) -> list[Any]:  # noqa: ANN401 - of whatever library
    if str(getattr(column, "dtype", getattr(column, "type", ""))).lower() in _SHORT_FLOATS:
        with suppress(ValueError, ImportError):  # nulls in pyarrow; polars without NumPy
            array = column.to_numpy() if hasattr(column, "to_numpy") else column
            if array.dtype.kind == "f":
                return list(widen_floats(array).tolist())
    for method in ("to_list", "to_pylist", "tolist"):
        if callable(convert := getattr(column, method, None)):
            return list(convert())
    return list(column)
