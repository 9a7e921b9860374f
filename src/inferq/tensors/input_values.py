"""Values of inputs in the ways in which JSON carries what it has no form for: base64, and URLs."""

import binascii
import re
from math import prod
from typing import Any, cast

from inferq.errors import InvalidInputError
from inferq.tensors.file_values import read_file
from inferq.tensors.nested_arrays import describe, measure, nest
from inferq.tensors.raw_tensors import read_datatype, read_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer, ListedTensor, MediaFile, RawTensor, RemoteFile

_MEMBERS = {"datatype", "shape"}
_DATA_URL = re.compile(r"data:[^,]{0,200}(?P<base64>;base64)?,", re.IGNORECASE)


def find_carrier(value: object) -> str | None:
    """Returns the member by which a JSON object carries bytes: `{"b64": "…", …}` or `{"url": "…", …}`.

    Returns:
        `b64` or `url`; None for all other values.
    """
    if not isinstance(value, dict):
        return None
    for name in ("b64", "url"):
        if isinstance(value.get(name), str) and value.keys() <= {name, *_MEMBERS}:
            return name
    return None


def unwrap(value: object, where: str, datatype: Datatype | None = None, *, takes_text: bool = True) -> object:
    """Returns the value of an input without what JSON or a protocol has wrapped it in.

    Args:
        value: Of an input, not yet checked.
        where: Its path, for errors.
        datatype: That of the input; None where it is not known.
        takes_text: Whether a string is a value of it by itself.

    Returns:
        A raw tensor or a file where `value` is an object with `b64`, or a `data:` URL in an object with `url`
            or for an input that takes no text; a remote file for any other URL in such an object; nested
            lists where it is a listed tensor; else `value` itself.

    Raises:
        InvalidInputError: It cannot be read, or is not what it says.
    """
    if (carrier := find_carrier(value)) is not None:
        return read_carrier(cast("dict[str, Any]", value), carrier, where)
    if isinstance(value, ListedTensor):
        return _nest(value, where, datatype)
    if isinstance(value, str) and not takes_text and value[:5].lower() == "data:":
        return read_file(_read_data_url(value, where), where)
    return value


def read_carrier(value: dict[str, Any], carrier: str, where: str) -> RawTensor | MediaFile | RemoteFile:
    """Reads an object that carries bytes, or says where they are.

    Args:
        value: The object.
        carrier: The member by which it does, see `find_carrier`.
        where: Its path, for errors.

    Raises:
        InvalidInputError: It cannot be read, or is not what it says.
    """
    remote = RemoteFile(value[carrier], where)
    if "datatype" in value or "shape" in value:
        datatype = read_datatype(value.get("datatype"), where)
        remote = remote._replace(datatype=datatype, shape=read_shape(value.get("shape"), where))
    if carrier == "b64":
        return read_remote_file(remote, _decode(remote.url, where))
    if remote.url[:5].lower() == "data:":
        return read_remote_file(remote, _read_data_url(remote.url, where))
    return remote


def read_remote_file(remote: RemoteFile, data: Buffer) -> RawTensor | MediaFile:
    """Reads a file that was fetched.

    Args:
        remote: What stood for it.
        data: The whole file.

    Raises:
        InvalidInputError: It is no array, no picture and no sound, or damaged.
    """
    if remote.datatype is None or remote.shape is None:
        return read_file(data, remote.where)
    return RawTensor(remote.datatype, remote.shape, data)


def _read_data_url(url: str, where: str) -> bytes:
    found = _DATA_URL.match(url)
    if found is None or not url[: found.end()].lower().endswith(";base64,"):
        raise InvalidInputError(
            f"{where} is a data: URL that is not in base64. Expected one such as data:image/png;base64,…"
        )
    return _decode(url[found.end() :], where)


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
    if len(lengths) < len(shape):
        return RawTensor(tensor.datatype, tensor.shape, b"")
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
