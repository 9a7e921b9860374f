"""Validation of `data` against a model's signature: the same rules in the proxy and in the worker.

The rules for values, none of which converts anything silently:

- FP16, FP32, FP64 take JSON numbers, whole or not, within the datatype's range. `null` and "NaN" are NaN, a
  missing value to many a model; "Infinity" and "-Infinity" are the infinities. A parser that takes them may
  also have read these words without quotes, as Python's `json` writes them.
- INT8 … UINT64 take whole numbers within range, written as such: `3`, not `3.0`. A float cannot hold every
  64-bit integer, so accepting it would let a rounded id through.
- BOOL takes `true` and `false`, not 0 and 1; BYTES takes strings.

And for arrays: nested exactly as deep as the shape is long, each axis of a fixed length has that length,
each dynamic one any, also 0, and the same throughout (not ragged). What an empty array would hold has its
fixed length, or 0. A pydantic-core schema built once per signature does nearly all of it: 100,000 rows of 4
take about 40 ms, with numbers that are not finite among them up to 130 ms more.
"""

import json
import math
from collections.abc import Sequence
from functools import cache
from itertools import chain
from types import NoneType
from typing import Any, cast

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

from inferq.errors import InvalidInputError
from inferq.tensors.nested_arrays import describe, measure, quote
from inferq.tensors.signature import Datatype, ModelDocument, Tensor

_LONGEST_EXAMPLE = 200
_MOST_AXES = 32
"""Of an input of unknown rank."""
_NON_FINITE = ("NaN", "Infinity", "-Infinity")
_HALF_A_SURROGATE_PAIR = "holds a string with half a surrogate pair, which is no text. Send valid Unicode."


class DataValidator:
    """Validates the `data` of requests for one model. Build one per document and keep it.

    Args:
        document: The model's document.
        max_rows: Most rows in one job; None for no limit.
    """

    def __init__(self, document: ModelDocument, max_rows: int | None = None) -> None:
        self._document = document
        self._max_rows = max_rows
        names = document.feature_names if len(document.inputs) == 1 else None
        self._required = [tensor.name for tensor in document.inputs]
        self._inputs = {
            tensor.name: _InputValidator(tensor, document, names) for tensor in document.inputs
        } | {tensor.name: _InputValidator(tensor, document, None) for tensor in document.optional_inputs}

    def validate(self, data: object) -> int:
        """Checks that `data` can be turned into the model's inputs.

        Args:
            data: What a JSON parser made of it: nested arrays for a model of one input, an object of named
                inputs for any model, an empty one of either kind for a model without inputs.

        Returns:
            The number of rows; 1 for a model whose batch axis is fixed.

        Raises:
            InvalidInputError: It does not fit; the message says where, what was expected and what was got.
        """
        named = self.inputs_of(data)
        return len(next(iter(named.values()))) if self._document.batched else 1

    def inputs_of(self, data: object) -> dict[str, Any]:
        """Checks the same, and returns the value of each input by name.

        Raises:
            InvalidInputError: It does not fit.
        """
        named = self.name_inputs(data)
        for name, value in named.items():
            where = f"data[{quote(name)}]" if isinstance(data, dict) else "data"
            self._inputs[name].validate(value, where, self._max_rows)
        if self._document.batched and len(self._required) > 1:
            self._check_same_rows(named)
        return named

    def rows_of_all(self, several: Sequence[object]) -> list[Any] | None:
        """Checks the data of several jobs together, in a fraction of the time, and returns all their rows.

        Args:
            several: What a JSON parser made of the data of each job.

        Returns:
            The rows of one job after those of the other; None where they cannot be checked together, or one
            of them does not fit: then each is to be checked by itself.
        """
        if not (self._document.batched and len(self._required) == 1):
            return None
        most = self._max_rows or math.inf
        if not all(type(data) is list and 0 < len(data) <= most for data in several):
            return None
        validator = self._inputs[self._required[0]]
        rows = list(chain.from_iterable(cast("Sequence[list[Any]]", several)))
        return rows if validator.is_valid(rows) else None

    def name_inputs(self, data: object) -> dict[str, Any]:
        """Returns the value of each input by name, those that may be left out last; not yet checked.

        Raises:
            InvalidInputError: An input is missing or unknown, or an array was sent where names are needed.
        """
        if not isinstance(data, dict):
            if len(self._required) == 1:
                return {self._required[0]: data}
            if not self._required and data == []:
                return {}
            if not self._inputs:
                raise InvalidInputError(
                    f"model {self._document.name!r} takes no inputs, got {describe(data)}. Send [] or {{}}."
                )
            raise InvalidInputError(
                f"data must be an object with {self._expected()}, got {describe(data)}. Name each input."
            )
        for name in data:
            if name not in self._inputs:
                raise InvalidInputError(
                    f"data names {quote(str(name))}, which is no input of model {self._document.name!r}. "
                    f"Expected {self._expected()}."
                )
        for name in self._required:
            if name not in data:
                raise InvalidInputError(f"data lacks the input {name!r}. Expected {self._expected()}.")
        return {name: data[name] for name in self._inputs if name in data}

    def _check_same_rows(self, named: dict[str, Any]) -> None:
        rows = {name: len(named[name]) for name in self._required}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{name!r} has {count}" for name, count in rows.items())
            raise InvalidInputError(f"Every input needs the same number of rows, but {counts}.")

    def _expected(self) -> str:
        inputs, optional = self._document.inputs, self._document.optional_inputs
        noun = "no inputs" if not inputs else "the input " if len(inputs) == 1 else "the inputs "
        rest = f", and perhaps {', '.join(map(str, optional))}" if optional else ""
        return f"{noun}{', '.join(map(str, inputs))}{rest}"


class _InputValidator:
    """Validates the value of one input."""

    def __init__(self, tensor: Tensor, document: ModelDocument, feature_names: list[str] | None) -> None:
        self._tensor = tensor
        self._document = document
        self._feature_names = feature_names
        self._shape = list(tensor.shape)
        if feature_names and self._shape and self._shape[-1] < 0:
            self._shape[-1] = len(feature_names)
        # numbers that are all finite, as nearly always, are checked in less than half of the time
        self._quick = _array_validator(_value_schema(tensor.datatype), self._shape)
        self._validator = (
            _array_validator(_float_schema(tensor.datatype), self._shape)
            if tensor.datatype.is_float
            else self._quick
        )
        # axes whose arrays pydantic accepts at any length, one by one: they must be compared with each other
        self._axes_to_compare = max(
            (axis + 1 for axis, size in enumerate(self._shape) if axis and size < 0), default=0
        )

    def validate(self, value: object, where: str, max_rows: int | None) -> None:
        if self._tensor.is_unranked or self._shape[:1] == [-1]:
            _check_rows(value, where, max_rows)
        if self._tensor.is_unranked:
            self._of_rank(_count_axes(value, where)).validate(value, where, None)
            return
        try:
            if self._tensor.datatype.is_float and self._quick.isinstance_python(value):
                self._check_axes(value, where)
                return
            self._validator.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise InvalidInputError(self._explain(first["loc"], first["input"], where)) from error
        except UnicodeEncodeError as error:  # only for a string outside any array
            raise InvalidInputError(f"{where} {_HALF_A_SURROGATE_PAIR}") from error
        self._check_axes(value, where)
        if self._tensor.datatype is Datatype.BYTES:
            _check_text(measure(value, where)[1], where)

    def is_valid(self, value: object) -> bool:
        """Whether a value is found valid at once; some need the closer look of `validate`."""
        if self._axes_to_compare or self._tensor.datatype is Datatype.BYTES:
            return False
        return self._quick.isinstance_python(value) or self._validator.isinstance_python(value)

    def _check_axes(self, value: object, where: str) -> None:
        if self._axes_to_compare:
            measure(value, where, self._axes_to_compare)

    def _of_rank(self, axes: int) -> "_InputValidator":
        tensor = self._tensor.model_copy(update={"is_unranked": False, "shape": [-1] * axes})
        return _InputValidator(tensor, self._document, None)

    def _explain(self, path: tuple[int | str, ...], got: object, where: str) -> str:
        place = where + "".join(f"[{part}]" for part in path)
        if len(path) == len(self._shape):
            return self._explain_value(place, path, got)
        size = self._shape[len(path)]
        if isinstance(got, list) and not got:
            return (
                f"{place} is empty, expected {self._expected_array(len(path))}.{self._whole()}{self._hint()}"
            )
        if isinstance(got, list):
            return (
                f"{place} has {len(got)} values, but {self._model()} expects {size}"
                f"{self._features(len(path))}.{self._hint()}"
            )
        expected = self._expected_array(len(path))
        return f"{place} must be {expected}, got {describe(got)}.{self._whole()}{self._hint()}"

    def _explain_value(self, place: str, path: tuple[int | str, ...], got: object) -> str:
        if self._feature_names and path:
            place = f"{place} ({self._feature_names[int(path[-1])]})"
        expected = _expected_value(self._tensor.datatype, got)
        if isinstance(got, list):
            return f"{place} must be {expected}, got {describe(got)}.{self._whole()}{self._hint()}"
        remedy = ""
        if self._tensor.datatype.is_integer and isinstance(got, float) and got.is_integer():
            remedy = " Write it without a decimal point."
        return f"{place} must be {expected}, got {describe(got)}.{remedy}"

    def _expected_array(self, axis: int) -> str:
        size = self._shape[axis]
        count = "" if size < 0 else f"{size} "
        inner = "values" if axis == len(self._shape) - 1 else "arrays"
        return f"an array of {count}{inner}{self._features(axis)}"

    def _whole(self) -> str:
        return f" Expected shape: {self._shape}, -1 for any length."

    def _features(self, axis: int) -> str:
        is_last = axis == len(self._shape) - 1
        return f" ({', '.join(self._feature_names)})" if self._feature_names and is_last else ""

    def _model(self) -> str:
        return f"model {self._document.name!r}"

    def _hint(self) -> str:
        if self._document.example is None:
            return ""
        example = json.dumps(self._document.example, ensure_ascii=False)
        return f" An example of data: {example}" if len(example) <= _LONGEST_EXAMPLE else ""


def check_unknown_model_data(data: object, max_rows: int | None = None) -> None:
    """Refuses data that no model could take, for when no worker has announced the model yet.

    Args:
        data: What a JSON parser made of it.
        max_rows: Most rows in one job; None for no limit.

    Raises:
        InvalidInputError: It is neither an array nor an object of named inputs, is ragged, mixes kinds of
            values, or holds an object.
    """
    if _are_plain_rows(data, max_rows):
        return
    if not isinstance(data, list | dict):
        raise InvalidInputError(
            f"data must be an array, or an object of named inputs, got {describe(data)}. "
            "Send one array for each row, such as [[1.0, 2.0]]."
        )
    named = (
        {f"data[{quote(str(name))}]": value for name, value in data.items()}
        if isinstance(data, dict)
        else {"data": data}
    )
    for where, value in named.items():
        _check_rows(value, where, max_rows)
        _, values = measure(value, where)
        _check_values(values, where)


@cache
def _plain_rows() -> SchemaValidator:  # a worker needs none
    return _array_validator(core_schema.float_schema(strict=True, allow_inf_nan=False), [-1, -1])


def _are_plain_rows(data: object, max_rows: int | None) -> bool:
    """Whether data is what most is: rows of numbers, which is found out in a fraction of the time."""
    return (
        isinstance(data, list)
        and 0 < len(data) <= (max_rows or len(data))
        and _plain_rows().isinstance_python(data)
        and len(set(map(len, data))) == 1
    )


def _check_values(values: list[Any], where: str) -> None:
    kinds = set(map(type, values))
    for kind in kinds:
        if kind not in (int, float, bool, str, NoneType):
            odd = next(value for value in values if type(value) is kind)
            raise InvalidInputError(
                f"{where} may hold only numbers, booleans or strings, got {describe(odd)}."
            )
    is_number = bool(kinds & {int, float, NoneType})
    texts = [value for value in values if type(value) is str] if str in kinds else []
    is_text = any(text not in _NON_FINITE for text in texts)
    if is_number + is_text + (bool in kinds) > 1 or (texts and bool in kinds):
        raise InvalidInputError(f"{where} mixes numbers, booleans or strings. Send values of one kind.")
    _check_text(texts, where)


def _check_text(values: list[str], where: str) -> None:
    try:
        "".join(values).encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{where} {_HALF_A_SURROGATE_PAIR}") from error


def _check_rows(value: object, where: str, max_rows: int | None) -> None:
    if max_rows is not None and isinstance(value, list) and len(value) > max_rows:
        raise InvalidInputError(
            f"{where} has {len(value)} rows, but one job may have at most {max_rows} (INFERQ_MAX_ROWS). "
            "Split it into several jobs."
        )


def _count_axes(value: object, where: str) -> int:
    axes = 0
    while isinstance(value, list):
        axes += 1
        if axes > _MOST_AXES:
            raise InvalidInputError(f"{where} is nested deeper than {_MOST_AXES} arrays. Send fewer axes.")
        value = value[0] if value else None
    return axes


def _array_validator(value: CoreSchema, shape: list[int]) -> SchemaValidator:
    """Returns a validator of nested lists of this shape."""
    schema = value
    for size in reversed(shape):
        low, high = (None, None) if size < 0 else (size, size)
        schema = core_schema.list_schema(schema, min_length=low, max_length=high, strict=True, fail_fast=True)
    return SchemaValidator(schema)


def _value_schema(datatype: Datatype) -> CoreSchema:
    if datatype is Datatype.BOOL:
        return core_schema.bool_schema(strict=True)
    if datatype is Datatype.BYTES:
        return core_schema.str_schema(strict=True)
    low, high = datatype.limits
    if datatype.is_float:
        return core_schema.float_schema(strict=True, ge=low, le=high, allow_inf_nan=False)
    return core_schema.int_schema(strict=True, ge=int(low), le=int(high))


def _float_schema(datatype: Datatype) -> CoreSchema:
    """Floats that may be NaN or infinite, in all spellings."""
    return core_schema.union_schema(
        [
            _value_schema(datatype),
            core_schema.none_schema(),
            core_schema.literal_schema([*_NON_FINITE]),
            core_schema.no_info_plain_validator_function(_require_non_finite),
        ],
        mode="left_to_right",
        custom_error_type="float",  # one error, at the place of the value
        custom_error_message="no float",
    )


def _require_non_finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return value
    raise ValueError


def _expected_value(datatype: Datatype, got: object) -> str:
    if datatype is Datatype.BOOL:
        return "true or false"
    if datatype is Datatype.BYTES:
        return "a string"
    low, high = datatype.limits
    if datatype.is_float:
        if type(got) not in (int, float):
            return f'a number, null or "NaN" ({datatype})'
        return f"a number between {low:g} and {high:g} ({datatype})"
    return f"a whole number between {low} and {high} ({datatype})"
