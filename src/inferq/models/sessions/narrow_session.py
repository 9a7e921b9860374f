"""Sessions of models that take or give a type that NumPy lacks, such as bfloat16.

ONNX Runtime's Python interface hands those over only as its own values (`OrtValue`). A session takes them
beside arrays; it gives them only where all that it is given are such values, which no text can be.
"""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from inferq.errors import InvalidModelError
from inferq.models.arrays import Array
from inferq.models.narrow_arrays import narrow, widen
from inferq.tensors.signature import Datatype, Tensor
from inferq.tensors.values import PACKED

_ONNX_NUMBERS = {
    Datatype.BF16: 16,
    Datatype.FLOAT8E4M3FN: 17,
    Datatype.FLOAT8E4M3FNUZ: 18,
    Datatype.FLOAT8E5M2: 19,
    Datatype.FLOAT8E5M2FNUZ: 20,
    Datatype.UINT4: 21,
    Datatype.INT4: 22,
    Datatype.FLOAT4E2M1: 23,
    Datatype.FLOAT8E8M0: 24,
    Datatype.UINT2: 25,
    Datatype.INT2: 26,
}
"""ONNX's `TensorProto.DataType`."""


def check_narrow_outputs(path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Refuses a model whose outputs ONNX Runtime cannot hand over.

    Args:
        path: The file, for errors.
        inputs: Its inputs, those with a default among them.
        outputs: Its outputs.

    Raises:
        InvalidModelError: It cannot.
    """
    given = [tensor for tensor in outputs if not tensor.datatype.is_in_numpy]
    for tensor in inputs if given else ():
        if tensor.datatype is Datatype.BYTES or tensor.onnx_type is not None:
            raise InvalidModelError(
                f"{path}: the output {given[0]} can be had from ONNX Runtime only where all "
                f"inputs are tensors of numbers, but there is {tensor}. Cast the output to float."
            )


class NarrowSession:
    """A session that takes and gives arrays as `narrow_arrays` has them.

    Args:
        session: The session.
        inputs: Its inputs.
        outputs: Its outputs.
    """

    def __init__(
        self, session: ort.InferenceSession, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> None:
        self._session = session
        self._inputs = {tensor.name: tensor for tensor in inputs}
        self._outputs = {tensor.name: tensor for tensor in outputs}
        self._gives_narrow = any(not tensor.datatype.is_in_numpy for tensor in outputs)

    def run(
        self, names: Sequence[str], arrays: Mapping[str, Array], options: ort.RunOptions | None
    ) -> list[Any]:
        """Does what `InferenceSession.run` does, with its errors."""
        feeds = {name: self._make_value(array, self._inputs[name].datatype) for name, array in arrays.items()}
        if not self._gives_narrow:
            given: list[Any] = self._session.run(names, feeds, options)
            return given
        values = self._session.run_with_ort_values(names, feeds, options)
        return [
            _read_value(value, self._outputs[name].datatype)
            for name, value in zip(names, values, strict=True)
        ]

    def _make_value(self, array: Array, datatype: Datatype) -> ort.OrtValue | Array:
        if datatype.is_in_numpy:
            is_taken = not self._gives_narrow
            return array if is_taken else ort.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C"))
        codes, number = narrow(array, datatype), _ONNX_NUMBERS[datatype]
        if datatype not in PACKED:
            return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(codes, number)
        value = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, number)
        ctypes.memmove(value.data_ptr(), codes.ctypes.data, codes.nbytes)
        return value


def _read_value(value: ort.OrtValue, datatype: Datatype) -> Any:  # noqa: ANN401 - as `run` gives it
    if datatype.is_in_numpy:
        return value.numpy()
    size = value.tensor_size_in_bytes()
    data = ctypes.string_at(value.data_ptr(), size) if size else b""
    return widen(data, datatype, value.shape())
