"""Outputs that are no tensors as tensors: maps, and sequences that are empty."""

import math
from typing import Any

from inferq.tensors.result_tensors import OutputEntry
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import pack_values
from inferq.tensors.values import RawTensor


def make_listed_tensors(output: OutputEntry) -> dict[str, RawTensor] | None:
    """Returns an output whose values stand in the head of a result as tensors by their names.

    Args:
        output: One without bytes.

    Returns:
        Of a map `y/keys` and `y/values`; of a list of maps with the same keys, as classifiers give it, `y`, a
        row for each and a column for each key, and `y/keys`; of an empty sequence `y` without entries; none
        where it is absent. None where it is anything else.
    """
    name, values = output.name, output.values
    if values is None:
        return {}
    if values == []:
        return {name: RawTensor(output.datatype, (0,), b"")}
    if isinstance(values, dict):
        column = RawTensor(output.datatype, (len(values),), _pack(output.datatype, [*values.values()]))
        return {f"{name}/keys": _make_keys(output, values), f"{name}/values": column}
    if not isinstance(values, list) or not isinstance(values[0], dict):
        return None
    if any(not isinstance(row, dict) or row.keys() != values[0].keys() for row in values):
        return None
    keys = [*values[0]]
    table = _pack(output.datatype, [row[key] for row in values for key in keys])
    shape = (len(values), len(keys))
    return {name: RawTensor(output.datatype, shape, table), f"{name}/keys": _make_keys(output, values[0])}


def _pack(datatype: Datatype, values: list[Any]) -> bytes:
    if datatype.is_float:
        values = [_read_float(value) for value in values]
    return pack_values(datatype, values)


def _read_float(value: Any) -> float:  # noqa: ANN401 - a number, a word such as NaN, or null
    return math.nan if value is None else float(value)


def _make_keys(output: OutputEntry, keys: dict[str, Any]) -> RawTensor:
    listed: list[Any] = [*map(int, keys)] if output.keys.is_integer else [*keys]
    return RawTensor(output.keys, (len(listed),), pack_values(output.keys, listed))
