"""Checks of `data` for a model that no worker has announced yet: its signature is not known."""

from collections.abc import Iterable
from functools import cache
from types import NoneType
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from inferq.errors import InvalidInputError
from inferq.tensors.array_schemas import NON_FINITE_WORDS, make_array_validator
from inferq.tensors.input_validator import check_rows, check_text
from inferq.tensors.input_values import find_carrier, unwrap
from inferq.tensors.nested_arrays import describe, measure, quote
from inferq.tensors.raw_tensors import check_tensor
from inferq.tensors.values import MediaFile, RawTensor, RemoteFile


def check_unknown_model_data(data: object, max_rows: int | None = None) -> list[RemoteFile]:
    """Refuses data that no model could take.

    Args:
        data: Parsed data, as `DataValidator.validate` takes it.
        max_rows: Most rows in one job; None for no limit.

    Returns:
        The remote files that it names.

    Raises:
        InvalidInputError: It is neither an array nor an object of named inputs, is ragged though no sequence
            of arrays, mixes kinds of values, or holds an object that is no map.
    """
    if _are_plain_rows(data, max_rows):
        return []
    if not isinstance(data, list | dict | RawTensor | MediaFile):
        raise InvalidInputError(
            f"data must be an array, or an object of named inputs, got {describe(data)}. "
            "Send one array for each row, such as [[1.0, 2.0]]."
        )
    named = (
        {f"data[{quote(str(name))}]": value for name, value in data.items()}
        if isinstance(data, dict) and find_carrier(data) is None
        else {"data": data}
    )
    remote_files: list[RemoteFile] = []
    for where, wrapped in named.items():
        if wrapped is None:  # an optional input that is absent
            continue
        is_map = isinstance(wrapped, dict) and bool(wrapped) and find_carrier(wrapped) is None
        value = unwrap([*wrapped.values()] if isinstance(wrapped, dict) and is_map else wrapped, where)
        check_rows(value, where, max_rows)
        if isinstance(value, RawTensor):
            check_tensor(value, where)
        if isinstance(value, RemoteFile):
            remote_files.append(value)
        if isinstance(value, RawTensor | MediaFile | RemoteFile):
            continue
        for inner, values in _list_values(value, where, remote_files):
            _check_values(values, inner)
    return remote_files


def _list_values(
    value: object, where: str, remote_files: list[RemoteFile]
) -> Iterable[tuple[str, list[Any]]]:
    """Returns the values of an array, or of each of the arrays of which it is a sequence, with its path.

    Remote files among these are added to the list.
    """
    try:
        return [(where, measure(value, where)[1])]
    except InvalidInputError:
        if not isinstance(value, list):
            raise
    paths = [f"{where}[{index}]" for index in range(len(value))]
    parts = [unwrap(one, path) for one, path in zip(value, paths, strict=True)]
    remote_files += [part for part in parts if isinstance(part, RemoteFile)]
    return (
        (path, measure(part, path)[1])
        for path, part in zip(paths, parts, strict=True)
        if not isinstance(part, RemoteFile)
    )


@cache
def _make_row_validator() -> SchemaValidator:  # only the proxy needs one
    return make_array_validator(core_schema.float_schema(strict=True, allow_inf_nan=False), [-1, -1])


def _are_plain_rows(data: object, max_rows: int | None) -> bool:
    """Whether data is rows of numbers, as most data is: this check takes a fraction of the time."""
    return (
        isinstance(data, list)
        and 0 < len(data) <= (max_rows or len(data))
        and _make_row_validator().isinstance_python(data)
        and len(set(map(len, data))) == 1
    )


def _check_values(values: list[Any], where: str) -> None:
    kinds = set(map(type, values))
    for kind in kinds:
        if kind not in (int, float, bool, str, NoneType):
            found = next(value for value in values if type(value) is kind)
            raise InvalidInputError(
                f"{where} may hold only numbers, booleans or strings, got {describe(found)}."
            )
    is_number = bool(kinds & {int, float, NoneType})
    texts = [value for value in values if type(value) is str] if str in kinds else []
    is_text = any(text not in NON_FINITE_WORDS for text in texts)
    if is_number + is_text + (bool in kinds) > 1 or (texts and bool in kinds):
        raise InvalidInputError(f"{where} mixes numbers, booleans or strings. Send values of one kind.")
    check_text(texts, where)
