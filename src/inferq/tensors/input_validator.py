"""Validation of the value of one input: nested lists, a single value, or a raw tensor.

A pydantic-core schema built once per input does nearly all of it: 100,000 rows of 4 take about 40 ms, with
numbers that are not finite among them up to 130 ms more.
"""

import json

from pydantic_core import ValidationError

from inferq.errors import InvalidInputError
from inferq.tensors.array_schemas import make_array_validator, make_float_schema, make_value_schema
from inferq.tensors.nested_arrays import describe, measure
from inferq.tensors.number_text import read_numbers
from inferq.tensors.raw_tensors import MOST_AXES, check_tensor, name_numpy_type
from inferq.tensors.signature import Datatype, ModelDocument, Tensor, shape_fits
from inferq.tensors.values import RawTensor, RemoteFile

_LONGEST_EXAMPLE = 200
"""Characters of an example that an error shows."""
_HALF_A_SURROGATE_PAIR = "holds a string with half a surrogate pair, which is no text. Send valid Unicode."


class InputValidator:
    """Validates the value of one input.

    Args:
        tensor: The input: its datatype and shape.
        document: Its model, for errors.
        feature_names: Names along the last axis; None where it has none.
    """

    def __init__(self, tensor: Tensor, document: ModelDocument, feature_names: list[str] | None) -> None:
        self._tensor = tensor
        self._document = document
        self._feature_names = feature_names
        self._shape = list(tensor.shape)
        if feature_names and self._shape and self._shape[-1] < 0:
            self._shape[-1] = len(feature_names)
        # finite numbers alone, which is nearly all data, are checked in less than half of the time
        self._finite = make_array_validator(make_value_schema(tensor.datatype), self._shape)
        self._validator = (
            make_array_validator(make_float_schema(tensor.datatype), self._shape)
            if tensor.datatype.non_finite_words
            else self._finite
        )
        # pydantic accepts arrays of any length along a dynamic axis; they must be compared with each other
        self._axes_to_compare = max(
            (axis + 1 for axis, size in enumerate(self._shape) if axis and size < 0), default=0
        )

    def validate(self, value: object, where: str, max_rows: int | None) -> None:
        """Checks a value.

        Args:
            value: Nested lists, or a single value for a shape without axes; or a raw tensor.
            where: The path of the value, for errors, such as `data["x"]`.
            max_rows: Most rows in one job; None for no limit.

        Raises:
            InvalidInputError: It does not fit.
        """
        if self._tensor.is_unranked or self._shape[:1] == [-1]:
            check_rows(value, where, max_rows)
        if isinstance(value, RawTensor):
            self._validate_tensor(value, where)
            return
        if self._tensor.is_unranked:
            self._fix_rank(_count_axes(value, where)).validate(value, where, None)
            return
        try:
            if self._tensor.datatype.is_float and self._finite.isinstance_python(value):
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
            check_text(measure(value, where)[1], where)

    def check_remote_file(self, value: RemoteFile, where: str, max_rows: int | None) -> None:
        """Checks what is known of a file before it is fetched; `validate` checks what it was found to be.

        Raises:
            InvalidInputError: It is said to be a raw tensor which does not fit.
        """
        if value.datatype is None or value.shape is None:
            return
        tensor = RawTensor(value.datatype, value.shape, b"")
        if self._tensor.is_unranked or self._shape[:1] == [-1]:
            check_rows(tensor, where, max_rows)
        self._check_signature(tensor, where)

    def _validate_tensor(self, value: RawTensor, where: str) -> None:
        self._check_signature(value, where)
        check_tensor(value, where)

    def _check_signature(self, value: RawTensor, where: str) -> None:
        datatype = self._tensor.datatype
        if value.datatype is not datatype:
            remedy = (
                f'send x.astype("{name_numpy_type(datatype)}"), as NumPy has it.'
                if datatype.is_in_numpy
                else "NumPy lacks it, so send JSON numbers, or its own bytes as a raw tensor."
            )
            raise InvalidInputError(
                f"{where} is {value.datatype}, but model {self._document.name!r} expects {datatype}. Nothing "
                f"is converted silently: {remedy}"
            )
        if not (self._tensor.is_unranked or shape_fits(value.shape, self._shape)):
            remedy = (
                " Add the axis of rows, such as x[None]."
                if self._shape[:1] in ([-1], [1]) and shape_fits((1, *value.shape), self._shape)
                else ""
            )
            raise InvalidInputError(
                f"{where} has the shape {list(value.shape)}, but model {self._document.name!r} expects "
                f"{self._shape}{self._list_features(len(self._shape) - 1)}, -1 for any length.{remedy}"
            )

    def read_numbers(self, text: bytes, max_rows: int | None) -> RawTensor | None:
        """Reads a value from JSON that holds numbers which fit, and nothing else; see `number_text`."""
        if self._tensor.is_unranked:
            return None
        value = read_numbers(text, self._tensor.datatype)
        if value is None or not shape_fits(value.shape, self._shape):
            return None
        has_rows = self._shape[:1] == [-1]
        return None if has_rows and max_rows is not None and value.shape[0] > max_rows else value

    def is_valid(self, value: object) -> bool:
        """Whether a value is certainly valid; some valid values are only recognized by `validate`."""
        if self._axes_to_compare or self._tensor.datatype is Datatype.BYTES:
            return False
        return self._finite.isinstance_python(value) or self._validator.isinstance_python(value)

    def _check_axes(self, value: object, where: str) -> None:
        if self._axes_to_compare:
            measure(value, where, self._axes_to_compare)

    def _fix_rank(self, axes: int) -> "InputValidator":
        tensor = self._tensor.model_copy(update={"is_unranked": False, "shape": [-1] * axes})
        return InputValidator(tensor, self._document, None)

    def _explain(self, location: tuple[int | str, ...], got: object, where: str) -> str:
        path = where + "".join(f"[{index}]" for index in location)
        axis = len(location)
        if axis == len(self._shape):
            return self._explain_value(path, location, got)
        size = self._shape[axis]
        if isinstance(got, list) and not got:
            return f"{path} is empty, expected {self._describe_array(axis)}.{self._describe_whole()}"
        if isinstance(got, list):
            return (
                f"{path} has {len(got)} values, but model {self._document.name!r} expects {size}"
                f"{self._list_features(axis)}.{self._show_example()}"
            )
        expected = self._describe_array(axis)
        takes_files = self._document.image is not None or self._document.audio is not None
        remedy = (
            " A file is sent as its bytes, not by its name." if takes_files and isinstance(got, str) else ""
        )
        return f"{path} must be {expected}, got {describe(got)}.{remedy}{self._describe_whole()}"

    def _explain_value(self, path: str, location: tuple[int | str, ...], got: object) -> str:
        if self._feature_names and location:
            path = f"{path} ({self._feature_names[int(location[-1])]})"
        expected = _describe_value(self._tensor.datatype, got)
        if isinstance(got, list):
            return f"{path} must be {expected}, got {describe(got)}.{self._describe_whole()}"
        remedy = ""
        if self._tensor.datatype.is_integer and isinstance(got, float) and got.is_integer():
            remedy = " Write it without a decimal point."
        return f"{path} must be {expected}, got {describe(got)}.{remedy}"

    def _describe_array(self, axis: int) -> str:
        size = self._shape[axis]
        count = "" if size < 0 else f"{size} "
        inner = "values" if axis == len(self._shape) - 1 else "arrays"
        return f"an array of {count}{inner}{self._list_features(axis)}"

    def _describe_whole(self) -> str:
        return f" Expected shape: {self._shape}, -1 for any length.{self._show_example()}"

    def _list_features(self, axis: int) -> str:
        is_last = axis == len(self._shape) - 1
        return f" ({', '.join(self._feature_names)})" if self._feature_names and is_last else ""

    def _show_example(self) -> str:
        if self._document.example is None:
            return ""
        example = json.dumps(self._document.example, ensure_ascii=False)
        return f" An example of data: {example}" if len(example) <= _LONGEST_EXAMPLE else ""


def check_rows(value: object, where: str, max_rows: int | None) -> None:
    """Refuses an array of too many rows.

    Args:
        value: Nested lists or a raw tensor; anything else has no rows.
        where: Its path, for the error.
        max_rows: Most rows in one job; None for no limit.

    Raises:
        InvalidInputError: It has more.
    """
    rows = len(value) if isinstance(value, list) else 0
    if isinstance(value, RawTensor) and value.shape:
        rows = value.shape[0]
    if max_rows is not None and rows > max_rows:
        raise InvalidInputError(
            f"{where} has {rows} rows, but one job may have at most {max_rows} (INFERQ_MAX_ROWS). "
            "Split it into several jobs."
        )


def check_text(values: list[str], where: str) -> None:
    """Refuses strings that UTF-8 cannot encode.

    Args:
        values: The strings.
        where: Their path, for the error.

    Raises:
        InvalidInputError: One holds half a surrogate pair.
    """
    try:
        "".join(values).encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{where} {_HALF_A_SURROGATE_PAIR}") from error


def _count_axes(value: object, where: str) -> int:
    axes = 0
    while isinstance(value, list):
        axes += 1
        if axes > MOST_AXES:
            raise InvalidInputError(f"{where} is nested deeper than {MOST_AXES} arrays. Send fewer axes.")
        value = value[0] if value else None
    return axes


def _describe_value(datatype: Datatype, got: object) -> str:
    if datatype is Datatype.BOOL:
        return "true or false"
    if datatype is Datatype.BYTES:
        return "a string"
    low, high = datatype.limits
    if datatype.is_float:
        if type(got) not in (int, float):
            return (
                f'a number, null or "NaN" ({datatype})'
                if datatype.non_finite_words
                else f"a number ({datatype})"
            )
        return f"a number between {low:g} and {high:g} ({datatype})"
    return f"a whole number between {low} and {high} ({datatype})"
