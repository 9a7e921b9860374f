"""Arrays of NumPy as data and from results, for tests: each written and read by NumPy itself."""

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from inferq.models.arrays import Array
from inferq.tensors.envelope import read_envelope, write_envelope
from inferq.tensors.signature import Datatype

_DTYPES = {
    datatype: np.dtype(datatype.lower().replace("fp", "float"))
    for datatype in Datatype
    if datatype != "BYTES"
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
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read(data: bytes, datatype: str, shape: Sequence[int]) -> Array:
    if datatype != "BYTES":
        return np.frombuffer(data, _DTYPES[Datatype(datatype)]).reshape(shape)
    texts = []
    while data:
        [length] = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return np.array(texts, dtype=object).reshape(shape)
