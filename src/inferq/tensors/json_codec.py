"""JSON, the form of data and results that every program can read and write."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.signature import NonFinite
from inferq.tensors.values import Buffer

try:
    import orjson
except ImportError:  # every worker has it; it reads arrays twice as fast, and writes those of NumPy
    orjson = None  # type: ignore[assignment]

_loads: Callable[[Any], Any] = from_json if orjson is None else orjson.loads


def read_data(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Reads the data of a job.

    Args:
        payload: JSON, UTF-8. The words NaN, Infinity and -Infinity are taken, as Python's `json` writes them.

    Raises:
        InvalidInputError: It is not JSON.
    """
    try:
        return _parse(payload)
    except ValueError as error:
        raise InvalidInputError(
            f"The job's data is not JSON that can be read: {error}. Expected the JSON of an array, or of "
            "an object of named inputs."
        ) from error


def read_rows(payloads: Sequence[Buffer], validator: DataValidator) -> tuple[list[Any], list[int]] | None:
    """Reads the data of several jobs in one pass, in less time than one by one.

    Args:
        payloads: The data of each job.
        validator: Checks it against the model's signature.

    Returns:
        The rows of all jobs as one nested list, and how many of them each job has; None where they cannot be
        read in one pass, or one does not fit: then read each by itself.
    """
    try:
        several = [_loads(payload) for payload in payloads]
    except ValueError:
        return None
    rows = validator.join_rows(several)
    return None if rows is None else (rows, list(map(len, several)))


def write(value: object, *, non_finite: NonFinite) -> bytes:
    """Writes a value as JSON, without spaces.

    Args:
        value: Nested lists and mappings of Python's own numbers, booleans and strings.
        non_finite: Whether NaN and infinities become null or strings.
    """
    return to_json(value, inf_nan_mode="strings" if non_finite == "string" else "null")


def write_arrays(value: object) -> bytes:
    """Writes a value that holds NumPy arrays as JSON, without spaces; NaN and infinities become null.

    Args:
        value: Nested lists and mappings of C-contiguous arrays, numbers, booleans and strings.

    Raises:
        TypeError: An array has a datatype or byte order that orjson does not know, or there is no orjson.
    """
    if orjson is None:
        raise TypeError("NumPy arrays are written by orjson, which is not installed.")
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _parse(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return _loads(payload)
    except ValueError:
        if b"NaN" in payload or b"Infinity" in payload:
            return from_json(payload, allow_inf_nan=True)
        raise
