"""Conversions of results, of long ones in another process: so nothing here knows FastAPI or Redis."""

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

from pydantic_core import to_json

from inferq.errors import InvalidInputError, NotAcceptableError
from inferq.tensors.envelope import write_envelope
from inferq.tensors.envelope_codec import describe_tensor
from inferq.tensors.listed_results import read_listed_result
from inferq.tensors.nested_arrays import nest
from inferq.tensors.nested_json import NestedJsonWriter
from inferq.tensors.npy_codec import write_text
from inferq.tensors.raw_tensors import read_strings
from inferq.tensors.signature import Datatype, Tensor
from inferq.tensors.tensor_values import list_values
from inferq.tensors.values import Buffer, RawTensor

_MOST_CHARACTERS = 16 * 1024 * 1024
"""Of an array of text, in which all values are as long as the longest."""


def make_tensors(result: bytes, outputs: Mapping[str, Tensor], exact: Collection[str] | None) -> bytes:
    """Returns a result in JSON as an envelope; see `read_listed_result`."""
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for name, tensor in read_listed_result(result, outputs, exact).items():
        entries.append(describe_tensor(name, tensor.datatype, tensor.shape, len(tensor.data)))
        data.append(tensor.data)
    return write_envelope({"outputs": entries}, data)


def write_numbers_json(datatype: Datatype, shape: tuple[int, ...], position: int, data: bytes) -> bytes:
    """Returns a part of a tensor as nested arrays in JSON.

    Args:
        datatype: Any but BYTES.
        shape: That of the whole tensor.
        position: How many values come before.
        data: Some of its values, as a raw tensor has them.
    """
    values = list_values(datatype, data, prod(shape) - position)
    return NestedJsonWriter(shape, position).write(values)


def check_text(tensor: RawTensor) -> bytes:
    """Returns nothing, of a tensor of strings that are text.

    Raises:
        NotAcceptableError: They are not, or not what its shape promises.
    """
    _read_texts(tensor)
    return b""


def write_text_json(tensor: RawTensor) -> bytes:
    """Returns a tensor of strings as nested arrays in JSON.

    Raises:
        NotAcceptableError: It is not what its shape promises.
    """
    return to_json(nest(_read_texts(tensor), tensor.shape))


def write_text_npy(tensor: RawTensor) -> bytes:
    """Returns a tensor of strings as `.npy`.

    Raises:
        NotAcceptableError: It is not what its shape promises, or one string is too long beside the others.
    """
    texts = _read_texts(tensor)
    if max(map(len, texts), default=0) * len(texts) > _MOST_CHARACTERS:
        raise NotAcceptableError(
            "The strings differ so much in length that as an array, in which all are as long as the longest, "
            "they would be too long. Ask for application/json or application/octet-stream."
        )
    return write_text(texts, tensor.shape)


def _read_texts(tensor: RawTensor) -> list[str]:
    try:
        return read_strings(tensor, "The output")
    except InvalidInputError as error:
        raise NotAcceptableError(f"{error.message} Ask for application/octet-stream.") from error
