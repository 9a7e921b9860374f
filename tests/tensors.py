"""Arrays of NumPy as data and from results, for tests: each written and read by NumPy itself."""

import io
import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from inferq.models.arrays import Array
from inferq.tensors.envelope import read_envelope, write_envelope
from inferq.tensors.signature import Datatype

_NARROW = {
    Datatype.BF16: ml_dtypes.bfloat16,
    Datatype.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    Datatype.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    Datatype.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    Datatype.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    Datatype.FLOAT8E8M0: ml_dtypes.float8_e8m0fnu,
    Datatype.FLOAT4E2M1: ml_dtypes.float4_e2m1fn,
    Datatype.INT4: ml_dtypes.int4,
    Datatype.UINT4: ml_dtypes.uint4,
    Datatype.INT2: ml_dtypes.int2,
    Datatype.UINT2: ml_dtypes.uint2,
}
_DTYPES = {
    datatype: np.dtype(_NARROW.get(datatype) or datatype.lower().replace("fp", "float"))
    for datatype in Datatype
    if datatype != "BYTES"
}
_VALUES_PER_BYTE = {
    np.dtype(_NARROW[datatype]): 4 if datatype.endswith("2") else 2
    for datatype in (Datatype.INT4, Datatype.UINT4, Datatype.INT2, Datatype.UINT2)
} | {np.dtype(ml_dtypes.float4_e2m1fn): 2}
_ONNX_NAMES = {
    np.dtype(ml_dtypes.float8_e4m3fn): "float8e4m3fn",
    np.dtype(ml_dtypes.float8_e4m3fnuz): "float8e4m3fnuz",
    np.dtype(ml_dtypes.float8_e5m2): "float8e5m2",
    np.dtype(ml_dtypes.float8_e5m2fnuz): "float8e5m2fnuz",
    np.dtype(ml_dtypes.float8_e8m0fnu): "float8e8m0",
    np.dtype(ml_dtypes.float4_e2m1fn): "float4e2m1",
}
_NUMBERS_BY_NAME = {
    datatype: TensorProto.DataType.Value("BFLOAT16" if datatype == "BF16" else datatype)
    for datatype in _NARROW
}
_DATATYPES = {dtype: datatype for datatype, dtype in _DTYPES.items()}


def make_envelope(arrays: Mapping[str, Array], outputs: Sequence[str] = ()) -> bytes:
    """Returns data that holds arrays as raw tensors, and asks for these outputs, or for all."""
    data = {name: _write(array) for name, array in arrays.items()}
    inputs = [
        {
            "name": name,
            "datatype": _DATATYPES.get(array.dtype, Datatype.BYTES),
            "shape": list(array.shape),
            "parameters": {"binary_data_size": len(data[name])},
        }
        for name, array in arrays.items()
    ]
    return write_envelope({"inputs": inputs, "outputs": [{"name": name} for name in outputs]}, data.values())


def make_npz(arrays: Mapping[str, Array]) -> bytes:
    """Returns an archive of arrays; strings as NumPy's own type for them."""
    file = io.BytesIO()
    np.savez(
        file,
        **{name: array.astype(str) if array.dtype == object else array for name, array in arrays.items()},
    )
    return file.getvalue()


def make_npy(array: Array) -> bytes:
    """Returns one array as a file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read_outputs(result: bytes) -> dict[str, object]:
    """Returns the outputs in a result: arrays, or what the head has of those that are no tensors."""
    head, data = read_envelope(result)
    outputs: dict[str, object] = {}
    for entry in head["outputs"]:
        if "data" in entry:
            outputs[entry["name"]] = entry["data"]
            continue
        size = entry["parameters"]["binary_data_size"]
        outputs[entry["name"]] = _read(bytes(data[:size]), entry["datatype"], entry["shape"])
        data = data[size:]
    assert not len(data)
    return outputs


def _write(array: Array) -> bytes:
    if each := _VALUES_PER_BYTE.get(array.dtype):
        return _pack(array, each)
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode("utf-8", "surrogateescape") for text in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read(data: bytes, datatype: str, shape: Sequence[int]) -> Array:
    if datatype != "BYTES" and (each := _VALUES_PER_BYTE.get(_DTYPES[Datatype(datatype)])):
        return _unpack(data, each)[: prod(shape)].view(_DTYPES[Datatype(datatype)]).reshape(shape)
    if datatype != "BYTES":
        return np.frombuffer(data, _DTYPES[Datatype(datatype)]).reshape(shape)
    texts = []
    while data:
        [length] = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + length].decode("utf-8", "surrogateescape"))
        data = data[4 + length :]
    return np.array(texts, dtype=object).reshape(shape)


def narrow_dtype(datatype: Datatype) -> np.dtype[Any]:
    """Returns what ml_dtypes has of a datatype that NumPy lacks."""
    return np.dtype(_NARROW[datatype])


def narrow_onnx_types() -> dict[str, tuple[int, np.dtype[Any]]]:
    """Returns ONNX's number, and what ml_dtypes has, of each type of ONNX Runtime that NumPy lacks."""
    numbers = [(_NUMBERS_BY_NAME[datatype], np.dtype(one)) for datatype, one in _NARROW.items()]
    return {f"tensor({_ONNX_NAMES.get(dtype, dtype.name)})": (number, dtype) for number, dtype in numbers}


def read_array(data: bytes, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    """Returns the array that a raw tensor holds."""
    return _read(data, next(datatype for datatype, one in _DTYPES.items() if one == dtype), shape)


def pack_array(array: Array) -> bytes:
    """Returns the bytes of an array as a raw tensor has them."""
    return _write(array)


def _pack(array: Array, each: int) -> bytes:
    """The first value in the lowest bits, as ONNX has it."""
    bits = np.unpackbits(array.reshape(-1).view(np.uint8)[:, None], axis=1, bitorder="little")
    return np.packbits(bits[:, : 8 // each].reshape(-1), bitorder="little").tobytes()


def _unpack(data: bytes, each: int) -> Array:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, 8 // each)
    return np.packbits(bits, axis=1, bitorder="little").reshape(-1)


def name_parts(values: Mapping[str, Any]) -> dict[str, Array]:
    """Returns the tensors that stand for values by name, those of a sequence each by itself."""
    named: dict[str, Array] = {}
    for name, value in values.items():
        if not isinstance(value, list):
            named |= {} if value is None else {name: value}
        elif not value:
            named[name] = np.empty(0, np.float32)
        else:
            named |= {f"{name}/{index}": one for index, one in enumerate(value)}
    return named


def find_output(outputs: Mapping[str, Any], name: str) -> Any:
    """Returns an output of a result, of a sequence all of its entries."""
    if name in outputs:
        return outputs[name]
    count = sum(one.rpartition("/")[0] == name for one in outputs)
    return [outputs[f"{name}/{index}"] for index in range(count)]


def make_binary_request(values: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Returns the JSON of an inference request that asks for bytes, and the bytes of its tensors."""
    arrays = name_parts(values)
    data = [_write(array) for array in arrays.values()]
    inputs = [
        {
            "name": name,
            "datatype": _DATATYPES.get(array.dtype, Datatype.BYTES),
            "shape": list(array.shape),
            "parameters": {"binary_data_size": len(raw)},
        }
        for (name, array), raw in zip(arrays.items(), data, strict=True)
    ]
    head = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    return json.dumps(head).encode(), b"".join(data)
