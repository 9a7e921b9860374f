"""Checks of `data` for a model that no worker has announced yet: its signature is not known."""

from functools import cache
from types import NoneType
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from inferq.errors import InvalidInputError
from inferq.tensors.array_schemas import NON_FINITE_WORDS, make_array_validator
from inferq.tensors.input_validator import check_rows, check_text
from inferq.tensors.input_values import is_base64_object, unwrap
from inferq.tensors.nested_arrays import describe, measure, quote
from inferq.tensors.raw_tensors import check_tensor
from inferq.tensors.values import MediaFile, RawTensor


def check_unknown_model_data(data: object, max_rows: int | None = None) -> None:
    """Refuses data that no model could take.

    Args:
        data: Parsed data, as `DataValidator.validate` takes it.
        max_rows: Most rows in one job; None for no limit.

    Raises:
        InvalidInputError: It is neither an array nor an object of named inputs, is ragged, mixes kinds of
            values, or holds an object.
    """
    if _are_plain_rows(data, max_rows):
        return
    if not isinstance(data, list | dict | RawTensor | MediaFile):
        raise InvalidInputError(
            f"data must be an array, or an object of named inputs, got {describe(data)}. "
            "Send one array for each row, such as [[1.0, 2.0]]."
        )
    named = (
        {f"data[{quote(str(name))}]": value for name, value in data.items()}
        if isinstance(data, dict) and not is_base64_object(data)
        else {"data": data}
    )
    for where, wrapped in named.items():
        value = unwrap(wrapped, where)
        check_rows(value, where, max_rows)
        if isinstance(value, RawTensor):
            check_tensor(value, where)
        if isinstance(value, RawTensor | MediaFile):
            continue
        _, values = measure(value, where)
        _check_values(values, where)


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
