"""Values of inputs in the ways in which JSON carries what it has no form for: base64, and `data:` URLs."""

import binascii
import re
from math import prod
from typing import Any, cast

from inferq.errors import InvalidInputError
from inferq.tensors.file_values import read_file
from inferq.tensors.nested_arrays import describe, measure, nest
from inferq.tensors.raw_tensors import read_datatype, read_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.values import ListedTensor, MediaFile, RawTensor

_MEMBERS = {"b64", "datatype", "shape"}
_DATA_URL = re.compile(r"data:[^,]{0,200}(?P<base64>;base64)?,", re.IGNORECASE)


def is_base64_object(value: object) -> bool:
    """Whether a JSON value is an object that carries bytes: `{"b64": "…", …}`."""
    return isinstance(value, dict) and isinstance(value.get("b64"), str) and value.keys() <= _MEMBERS


def unwrap(value: object, where: str, datatype: Datatype | None = None, *, takes_text: bool = True) -> object:
    """Returns the value of an input without what JSON or a protocol has wrapped it in.

    Args:
        value: Of an input, not yet checked.
        where: Its path, for errors.
        datatype: That of the input; None where it is not known.
        takes_text: Whether a string is a value of it by itself.

    Returns:
        A raw tensor or a file where `value` is an object with `b64`, or a `data:` URL for an input that takes
            no text; nested lists where it is a listed tensor; else `value` itself.

    Raises:
        InvalidInputError: It cannot be read, or is not what it says.
    """
    if is_base64_object(value):
        return _read_base64_object(cast("dict[str, Any]", value), where)
    if isinstance(value, ListedTensor):
        return _nest(value, where, datatype)
    if isinstance(value, str) and not takes_text and value[:5].lower() == "data:":
        return _read_data_url(value, where)
    return value


def _read_base64_object(value: dict[str, Any], where: str) -> RawTensor | MediaFile:
    data = _decode(value["b64"], where)
    if "datatype" not in value and "shape" not in value:
        return read_file(data, where)
    datatype = read_datatype(value.get("datatype"), where)
    return RawTensor(datatype, read_shape(value.get("shape"), where), data)


def _read_data_url(url: str, where: str) -> RawTensor | MediaFile:
    found = _DATA_URL.match(url)
    if found is None or not url[: found.end()].lower().endswith(";base64,"):
        raise InvalidInputError(
            f"{where} is a data: URL that is not in base64. Expected one such as data:image/png;base64,…"
        )
    return read_file(_decode(url[found.end() :], where), where)


def _decode(text: str, where: str) -> bytes:
    try:
        # the command base64 breaks lines
        return binascii.a2b_base64("".join(text.split()).encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise InvalidInputError(
            f"{where} is not base64: {error}. Expected A to Z, a to z, 0 to 9, + and /, filled up with = to "
            "a multiple of four (RFC 4648)."
        ) from error


def _nest(tensor: ListedTensor, where: str, datatype: Datatype | None) -> object:
    if datatype is not None and tensor.datatype is not datatype:
        raise InvalidInputError(f"{where} is {tensor.datatype}, expected {datatype}. Nothing is converted.")
    values = tensor.data
    if isinstance(values, list) and len(tensor.shape) != 1 and not any(type(one) is list for one in values):
        return _nest_flat(values, tensor, where)
    lengths, _ = measure(values, where)
    shape = list(tensor.shape)
    # nothing is written below an empty array
    if lengths != (shape[: len(lengths)] if 0 in lengths else shape):
        raise InvalidInputError(f"{where} has the shape {lengths}, but says that it is {shape}.")
    return values


def _nest_flat(values: list[Any], tensor: ListedTensor, where: str) -> object:
    count = prod(tensor.shape)
    if len(values) != count:
        raise InvalidInputError(
            f"{where} has {describe(values)} for the shape {list(tensor.shape)}, which has {count:,} values."
        )
    if not count:  # nested lists could not tell the axes behind the empty one
        return RawTensor(tensor.datatype, tensor.shape, b"")
    return nest(values, tensor.shape)
