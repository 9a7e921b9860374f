"""Makes tensors of a result in JSON. Of a long one another process does it, so nothing here knows FastAPI."""

from collections.abc import Mapping
from typing import Any

from inferq.tensors.envelope import write_envelope
from inferq.tensors.listed_results import read_listed_result
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer


def make_tensors(result: bytes, datatypes: Mapping[str, Datatype]) -> bytes:
    """Returns a result in JSON as an envelope; see `read_listed_result`."""
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for name, tensor in read_listed_result(result, datatypes).items():
        size = len(tensor.data)
        parameters = {"binary_data_size": size}
        entries.append(
            {"name": name, "datatype": tensor.datatype, "shape": tensor.shape, "parameters": parameters}
        )
        data.append(tensor.data)
    return write_envelope({"outputs": entries}, data)
