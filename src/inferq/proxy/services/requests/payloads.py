"""Makes what is stored of a body that does not describe itself: an envelope, or JSON."""

from collections.abc import Sequence
from math import prod
from typing import Any

from pydantic_core import from_json, to_json

from inferq.errors import InvalidInputError
from inferq.proxy.http.bodies.form_body import FormPart
from inferq.proxy.http.content_type import (
    MEDIA_TYPES,
    RAW_TENSOR,
    check_file_type,
    find_file_type,
)
from inferq.tensors import json_codec
from inferq.tensors.container_validator import describe_part
from inferq.tensors.envelope import write_envelope, write_prefix
from inferq.tensors.envelope_codec import describe_file, describe_remote_file, describe_tensor
from inferq.tensors.file_types import FIRST_BYTES, detect_file_type
from inferq.tensors.input_values import unwrap
from inferq.tensors.nested_arrays import measure, quote
from inferq.tensors.signature import ModelDocument, Tensor
from inferq.tensors.values import ITEM_BYTES, Buffer, MediaFile, RawTensor, RemoteFile, count_bytes

type _Entry = dict[str, Any]


def make_raw_prefix(document: ModelDocument, size: int, shape: tuple[int, ...] | None) -> bytes:
    """Returns what makes an envelope of the values of one raw tensor, put before them.

    Args:
        document: The model.
        size: How many bytes the values have.
        shape: Length of each axis, as the request says; None to take it from the signature.

    Raises:
        InvalidInputError: The model takes more than one input, or none; the signature does not tell the
            shape; or the bytes are too few or too many for it.
    """
    if len(document.inputs) != 1:
        raise InvalidInputError(
            f"Model {document.name!r} has {len(document.inputs)} inputs that are required, and {RAW_TENSOR} "
            "is the values of one. Send multipart/form-data with a part for each input, or an .npz archive."
        )
    tensor = document.inputs[0]
    entry = _describe_raw(tensor, document, size, shape, "The body")
    return write_prefix(to_json({"inputs": [entry]}))


def wrap_parts(document: ModelDocument, parts: Sequence[FormPart]) -> bytes:
    """Makes what is stored of the parts of a form, one for each input: an envelope, or JSON if all are.

    Raises:
        InvalidInputError: A part is for no input of the model, or its content is not what it says.
    """
    tensors = {tensor.name: tensor for tensor in (*document.inputs, *document.optional_inputs)}
    entries: list[_Entry] = []
    buffers: list[Buffer] = []
    listed: dict[str, Any] = {}
    for part in parts:
        tensor = describe_part(part.name, tensors)
        if tensor is None:
            raise InvalidInputError(
                f"The form has the part {quote(part.name)}, which is no input of model {document.name!r}. "
                f"Expected a part for each of {', '.join(map(str, tensors.values())) or 'none'}, and "
                "perhaps options."
            )
        where = f"The part {quote(part.name)}"
        if part.is_json:
            value = _read_json(part, tensor, where)
            if isinstance(value, RemoteFile):
                entries.append(describe_remote_file(tensor.name, value))
                continue
            if isinstance(value, RawTensor | MediaFile):
                entries.append(_describe_value(tensor.name, value))
                buffers.append(value.data)
                continue
            listed[tensor.name] = value
            lengths = [] if tensor.onnx_type is not None else measure(value, where)[0]
            entries.append(
                {"name": tensor.name, "datatype": tensor.datatype, "shape": lengths, "data": value}
            )
        else:
            entries.append(_describe_part(part, tensor, document, where))
            buffers.append(part.data)
    if len(listed) == len(entries):
        return json_codec.write(listed, non_finite="string")
    for name in listed:
        if name in tensors and tensors[name].onnx_type is not None:
            raise InvalidInputError(
                f"The part {quote(name)} is JSON of what is no tensor, beside other parts. Send all as "
                f"JSON, or its tensors as parts of their own, such as {quote(f'{name}/0')}."
            )
    return write_envelope({"inputs": entries}, buffers)


def _describe_part(part: FormPart, tensor: Tensor, document: ModelDocument, where: str) -> _Entry:
    said = find_file_type(part.media_type)
    if said is not None:
        check_file_type(part.data, said, where, part.media_type)
        return describe_file(tensor.name, said.media_type, len(part.data))
    if part.media_type not in ("", RAW_TENSOR):
        raise InvalidInputError(
            f"{where} has the Content-Type {quote(part.media_type)}, which is not known. Expected one of "
            f"{', '.join(MEDIA_TYPES)}."
        )
    found = detect_file_type(part.data[:FIRST_BYTES])  # programs that know no type say octet-stream
    if found is not None:
        return describe_file(tensor.name, found.media_type, len(part.data))
    return _describe_raw(tensor, document, len(part.data), None, where)


def _describe_value(name: str, value: RawTensor | MediaFile) -> _Entry:
    size = memoryview(value.data).nbytes
    if isinstance(value, MediaFile):
        return describe_file(name, value.media_type, size)
    return describe_tensor(name, value.datatype, value.shape, size)


def _describe_raw(
    tensor: Tensor, document: ModelDocument, size: int, shape: tuple[int, ...] | None, where: str
) -> _Entry:
    if shape is None:
        shape = _infer_shape(tensor, document, size, where)
    expected = count_bytes(tensor.datatype, prod(shape))
    if expected is not None and expected != size:
        raise InvalidInputError(
            f"{where} has {size:,} bytes, but the values of {tensor} have {expected:,} in the "
            f"shape {list(shape)}: row by row, little-endian, nothing else. A file is sent with the "
            "Content-Type of its own, such as application/x-npy or image/jpeg."
        )
    return describe_tensor(tensor.name, tensor.datatype, shape, size)


def _infer_shape(tensor: Tensor, document: ModelDocument, size: int, where: str) -> tuple[int, ...]:
    """Returns the shape of the values of a tensor: one dynamic axis follows from how many bytes there are."""
    shape = list(tensor.shape)
    names = document.feature_names
    if names and len(document.inputs) == 1 and shape[-1:] == [-1]:
        shape[-1] = len(names)
    dynamic = [axis for axis, length in enumerate(shape) if length < 0]
    if not dynamic and not tensor.is_unranked:
        return tuple(shape)
    each = prod(length for length in shape if length >= 0) * ITEM_BYTES.get(tensor.datatype, 0)
    if len(dynamic) != 1 or not each:
        raise InvalidInputError(
            f"{where} does not tell the shape of {tensor}. Send an .npy file, which has its own; or these "
            "bytes alone as the body, with their shape in the query, such as ?shape=1,3,224,224."
        )
    count, rest = divmod(size, each)
    if rest:
        raise InvalidInputError(
            f"{where} has {size:,} bytes, which is no whole number of {each:,}: so many bytes the values of "
            f"{tensor} have for each step of its dynamic axis. Send all of them, row by row, little-endian, "
            "and nothing else."
        )
    shape[dynamic[0]] = count
    return tuple(shape)


def _read_json(part: FormPart, tensor: Tensor, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = from_json(bytes(part.data), allow_inf_nan=True)
    except ValueError as error:
        raise InvalidInputError(
            f"{where} is not valid JSON: {error}. Send the JSON of an array, such as [[5.1, 3.5]]; a file "
            "needs its Content-Type, or a file name."
        ) from error
    return unwrap(value, where, tensor.datatype)
