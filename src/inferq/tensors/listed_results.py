"""Results in JSON as tensors: what came as JSON can be read in the other forms too."""

import math
import struct
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import from_json

from inferq.errors import InvalidInputError, NotAcceptableError
from inferq.tensors.array_schemas import NON_FINITE_WORDS
from inferq.tensors.nested_arrays import measure
from inferq.tensors.signature import Datatype, Tensor
from inferq.tensors.tensor_values import pack_values
from inferq.tensors.values import RawTensor


def read_listed_result(
    result: bytes, tensors: Mapping[str, Tensor], exact: Collection[str] | None = None
) -> dict[str, RawTensor]:
    """Returns the outputs of a result in JSON as tensors.

    Args:
        result: `{"outputs": {name: nested array}}`, as any model's result is that has no classes.
        tensors: The outputs of the model, by name, where they are known: their datatypes, and the axes below
            an empty one. Of any other output, whole numbers become INT64, other numbers FP64, booleans BOOL,
            and strings BYTES.
        exact: Outputs in which null is refused, since it stands for NaN and both infinities; None for all. In
            the others it becomes NaN.

    Raises:
        NotAcceptableError: It is something else, or has an output that is no tensor, or not known exactly.
    """
    try:
        parsed = from_json(result, allow_inf_nan=False)
    except ValueError as error:
        raise NotAcceptableError("The result is not JSON. It can be had as it is stored alone.") from error
    outputs = parsed.get("outputs") if isinstance(parsed, dict) and len(parsed) == 1 else None
    if not isinstance(outputs, dict):
        raise NotAcceptableError(
            "The result is not one of arrays alone, so that there are none to send: it has labels, or comes "
            "from another program. Ask for application/json without ?output=; send data as arrays to get "
            "arrays."
        )
    return {
        name: _read_output(name, value, tensors.get(name), is_exact=exact is None or name in exact)
        for name, value in outputs.items()
    }


def _read_output(name: str, value: object, tensor: Tensor | None, *, is_exact: bool) -> RawTensor:
    try:
        lengths, values = measure(value, name)
        if lengths[-1:] == [0] and tensor is not None and tensor.onnx_type is None:
            lengths += [max(length, 0) for length in tensor.shape[len(lengths) :]]
        found = tensor.datatype if tensor is not None else _guess_datatype(values)
        if found.is_float and is_exact and None in values:
            raise NotAcceptableError(
                f"The output {name!r} has null, which stands in JSON for NaN and infinities alike. Ask for "
                "application/json; send data as arrays to get arrays with all values, or let the model's "
                'model.toml say non_finite = "string".'
            )
        if found.is_float:
            values = [_read_float(value) for value in values]
        return RawTensor(found, tuple(lengths), pack_values(found, values))
    except (InvalidInputError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise NotAcceptableError(
            f"The output {name!r} is no array of one type and shape. Ask for application/json."
        ) from error


def _guess_datatype(values: list[Any]) -> Datatype:
    kinds = set(map(type, values))
    if kinds <= {int}:
        return Datatype.INT64 if kinds else Datatype.FP64
    if kinds == {bool}:
        return Datatype.BOOL
    texts = {value for value in values if type(value) is str}
    return Datatype.BYTES if kinds == {str} and not texts <= {*NON_FINITE_WORDS} else Datatype.FP64


def _read_float(value: object) -> float:
    if value is None or value in NON_FINITE_WORDS:
        return math.nan if value is None else float(str(value))
    if type(value) not in (int, float):
        raise TypeError(type(value).__name__)
    return float(value)  # type: ignore[arg-type]
