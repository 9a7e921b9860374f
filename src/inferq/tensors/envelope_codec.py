"""The envelope as the data of a job: its head is a request of the Open Inference Protocol."""

from collections.abc import Sequence
from typing import Any

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import Envelope, read_envelope
from inferq.tensors.file_types import NPY
from inferq.tensors.file_values import read_file
from inferq.tensors.input_values import read_carrier
from inferq.tensors.nested_arrays import describe, quote
from inferq.tensors.raw_tensors import read_datatype, read_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer, ListedTensor, MediaFile, RawTensor, RemoteFile

type _Value = RawTensor | ListedTensor | MediaFile | RemoteFile


def read_data(payload: Buffer) -> dict[str, _Value]:
    """Reads the data of a job: the value of each input by name, without a copy.

    Raises:
        InvalidInputError: The envelope is damaged, or its head is no request of that protocol.
    """
    return read_values(read_envelope(payload))


def read_values(envelope: Envelope) -> dict[str, _Value]:
    """Reads the same of an envelope whose head is parsed already.

    Raises:
        InvalidInputError: Its head is no request of the protocol.
    """
    values: dict[str, _Value] = {}
    rest = envelope.data
    for number, entry in enumerate(read_list(envelope.head, "inputs")):
        name = read_name(entry, f"inputs[{number}]")
        if name in values:
            raise InvalidInputError(f"inputs has {quote(name)} twice. Send each input once.")
        size = read_size(entry, f"inputs[{quote(name)}]")
        values[name] = _read_value(
            entry, f"inputs[{quote(name)}]", rest if size is None else rest[:size], size
        )
        rest = rest[size or 0 :]
    if len(rest):
        raise InvalidInputError(
            f"{len(rest):,} bytes follow the last tensor. Say with binary_data_size of each input how many "
            "are its own."
        )
    return values


def describe_tensor(name: str, datatype: Datatype, shape: Sequence[int], size: int | None) -> dict[str, Any]:
    """Returns the entry of an input or output whose bytes follow the head.

    Args:
        name: Its name.
        datatype: Type of its values.
        shape: Length of each axis.
        size: How many bytes it has.
    """
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": size},
    }


def describe_file(name: str, media_type: str, size: int) -> dict[str, Any]:
    """Returns the entry of an input that is a file, whose bytes follow the head.

    Args:
        name: Its name.
        media_type: What it is, such as `image/jpeg`.
        size: How many bytes it has.
    """
    return {"name": name, "parameters": {"binary_data_size": size, "content_type": media_type}}


def describe_remote_file(name: str, remote: RemoteFile) -> dict[str, Any]:
    """Returns the entry of an input that is fetched.

    Args:
        name: Its name.
        remote: Where it is.
    """
    entry: dict[str, Any] = {"name": name, "parameters": {"url": remote.url}}
    return entry if remote.datatype is None else entry | {"datatype": remote.datatype, "shape": remote.shape}


def read_outputs(head: dict[str, Any]) -> list[str]:
    """Returns the names of the outputs that a request asks for; none where it asks for all.

    Raises:
        InvalidInputError: `outputs` is no list of objects with a name.
    """
    return [read_name(entry, f"outputs[{number}]") for number, entry in enumerate(read_list(head, "outputs"))]


def read_size(entry: dict[str, Any], where: str) -> int | None:
    """Returns how many of the bytes behind the head an entry has; None where its values are in the head.

    Raises:
        InvalidInputError: `binary_data_size` is no whole number from 0.
    """
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInputError(f"The parameters of {where} must be an object, got {describe(parameters)}.")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise InvalidInputError(
            f"The binary_data_size of {where} must be a whole number from 0, got {describe(size)}."
        )
    return size


def read_list(head: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns the entries of a head, inputs or outputs; none where it has none.

    Raises:
        InvalidInputError: They are no array of objects.
    """
    entries = head.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInputError(f"{name} must be an array of objects, got {describe(entries)}.")
    return entries


def read_name(entry: dict[str, Any], where: str) -> str:
    """Returns the name of an entry.

    Raises:
        InvalidInputError: It has none.
    """
    name = entry.get("name")
    if not isinstance(name, str):
        raise InvalidInputError(f"{where} must have a name, a string, got {describe(name)}.")
    return name


def _read_value(entry: dict[str, Any], where: str, data: memoryview, size: int | None) -> _Value:
    if "url" in (entry.get("parameters") or {}):
        return _read_remote_file(entry, where, size)
    if (size is None) == ("data" not in entry):
        raise InvalidInputError(
            f"{where} must have one of data, parameters.binary_data_size and parameters.url."
        )
    if size is not None and len(data) < size:
        raise InvalidInputError(f"{where} has {size:,} bytes, but only {len(data):,} follow. Send all of it.")
    content_type = (entry.get("parameters") or {}).get("content_type")
    if size is not None and content_type is not None:
        value = read_file(data, where)
        if isinstance(value, RawTensor) and content_type not in (NPY.media_type, "application/npy"):
            raise InvalidInputError(f"{where} is a NumPy array, but says it is {describe(content_type)}.")
        return value
    datatype = read_datatype(entry.get("datatype"), where)
    shape = read_shape(entry.get("shape"), where)
    if size is None:
        return ListedTensor(datatype, shape, entry["data"])
    return RawTensor(datatype, shape, data)


def _read_remote_file(
    entry: dict[str, Any], where: str, size: int | None
) -> RawTensor | MediaFile | RemoteFile:
    """Reads the entry of an input that is fetched: a raw tensor, unless nothing says of what type or shape.

    The protocol wants both of them of every input, so that a file has a content_type beside them.
    """
    url = entry["parameters"]["url"]
    if size is not None or "data" in entry or not isinstance(url, str):
        raise InvalidInputError(
            f"{where} must have one of data, parameters.binary_data_size and parameters.url, a string."
        )
    is_file = "content_type" in entry["parameters"]
    described: dict[str, Any] = (
        {} if is_file else {name: entry[name] for name in ("datatype", "shape") if name in entry}
    )
    return read_carrier({"url": url, **described}, "url", where)
