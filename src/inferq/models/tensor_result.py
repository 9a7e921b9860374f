"""Results as raw tensors: an envelope with a response of the Open Inference Protocol as its head."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferq.models.arrays import Array, MapRows, make_jsonable
from inferq.models.encoders import Outputs
from inferq.models.raw_arrays import view_bytes
from inferq.tensors.envelope import write_prefix
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import Tensor
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
        An envelope. What is no tensor, but a sequence, a map or absent, stands in its head, with NaN and
        infinities as strings.
    """
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for tensor in tensors:
        array = outputs[tensor.name]
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
        if _is_tensor(array):
            raw = view_bytes(array)
            size = raw.nbytes if isinstance(raw, memoryview) else len(raw)
            entry |= {"shape": list(array.shape), "parameters": {"binary_data_size": size}}
            data.append(raw)
        else:
            entry |= {"shape": _measure(array), "data": make_jsonable(array, "string")}
        entries.append(entry)
    head = write_arrays({"outputs": entries})
    if shown is not None and len(shown) <= MOST_SHOWN_BYTES:
        head = b"".join((head[:-1], b',"result":', shown, b"}"))
    return b"".join((write_prefix(head), *data))


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
