"""Results as raw tensors: an envelope with a response of the Open Inference Protocol as its head."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferq.models.arrays import Array, MapRows, make_jsonable
from inferq.models.raw_arrays import view_bytes
from inferq.models.results.encoders import Outputs
from inferq.tensors.envelope import write_prefix
from inferq.tensors.envelope_codec import describe_tensor
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import Datatype, Tensor
from inferq.tensors.values import Buffer

MOST_SHOWN_BYTES = 64 * 1024
"""Longest JSON of a result beside its tensors: it is what people read."""


def write_tensors(outputs: Outputs, tensors: Sequence[Tensor], shown: bytes | None = None) -> bytes:
    """Writes the result of one job.

    Args:
        outputs: The job's outputs by name.
        tensors: Which of them to write, in this order.
        shown: The result's JSON, where that says more than the tensors; left out if it is long.

    Returns:
        An envelope. A sequence is a tensor for each of its entries, `y/0`, `y/1` and so on. What else is no
        tensor, but a map, an empty sequence or absent, stands in its head, with NaN and infinities as
        strings.
    """
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for tensor in tensors:
        array = outputs[tensor.name]
        if _is_tensor(array):
            entries.append(_describe(tensor, array, tensor.name, data))
        elif elements := _list_elements(array):
            for index, element in enumerate(elements):
                entry = _describe(tensor, element, f"{tensor.name}/{index}", data)
                entry["parameters"]["sequence"] = tensor.name
                entries.append(entry)
        else:
            entries.append(_list(tensor, array))
    head = write_arrays({"outputs": entries})
    if shown is not None and len(shown) <= MOST_SHOWN_BYTES:
        head = b"".join((head[:-1], b',"result":', shown, b"}"))
    return b"".join((write_prefix(head), *data))


def _describe(tensor: Tensor, array: Array, name: str, data: list[Buffer]) -> dict[str, Any]:
    """Describes a tensor, and adds its bytes to those of the others."""
    raw = view_bytes(array, tensor.datatype)
    data.append(raw)
    size = raw.nbytes if isinstance(raw, memoryview) else len(raw)
    return describe_tensor(name, tensor.datatype, array.shape, size)


def find_key_type(keys: Sequence[int | str]) -> Datatype:
    """Returns the datatype of the keys of a map."""
    return Datatype.INT64 if any(isinstance(key, int) for key in keys) else Datatype.BYTES


def _list(tensor: Tensor, array: Array) -> dict[str, Any]:
    """Describes what is no tensor, with its values."""
    value = array.keys if isinstance(array, MapRows) else array[()]
    entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": _measure(array)}
    if isinstance(array, MapRows) or isinstance(value, dict):
        entry["parameters"] = {"keys": find_key_type([*value])}
    return {**entry, "data": make_jsonable(array, "string")}


def _list_elements(array: Array) -> list[Array]:
    """Returns the tensors of a sequence; none of one that is empty, and of everything else."""
    value = None if isinstance(array, MapRows) else array[()]
    return [*value] if isinstance(value, list) and all(isinstance(one, np.ndarray) for one in value) else []


def _is_tensor(array: Array) -> bool:
    if array.dtype == np.object_ and not array.ndim:
        return isinstance(array[()], str)  # else it holds a sequence, a map or nothing
    return not isinstance(array, MapRows)


def _measure(array: Array) -> list[int]:
    """The shape of what is no tensor: the length of a sequence, or no axes."""
    if isinstance(array, MapRows):
        return [len(array)]
    value = array[()]
    return [len(value)] if isinstance(value, list) else []
