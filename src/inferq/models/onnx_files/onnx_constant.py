"""Tensors in an ONNX file: initializers, and those in attributes."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from inferq.models.onnx_files.protobuf import Field, as_integers, as_message, as_text, read_fields

_FORMATS = {1: "<f", 6: "<i", 7: "<q", 9: "<?", 11: "<d"}
"""How the elements of FP32, INT32, INT64, BOOL and FP64 are stored, by the number of the datatype."""
_EXTERNAL = 1
_MOST_ELEMENTS = 256
"""Tensors with more are weights: their elements are not read."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor in the file.

    Attributes:
        name: Its name in the graph; empty in an attribute.
        shape: Length of each axis.
        elements: Its elements, if it has few and they are BOOL, INT32, INT64, FP32 or FP64; else None.
        file: Where its elements are, if not in the ONNX file: a path relative to that file's folder.
    """

    name: str
    shape: tuple[int, ...]
    elements: tuple[float, ...] | None
    file: str | None


def read_constant(view: memoryview) -> Constant:
    """Decodes a TensorProto, its elements only if they are few."""
    shape: list[int] = []
    datatype, name, file, is_external = 0, "", None, False
    parts: list[Field] = []
    for entry in read_fields(view):
        number, value = entry
        if number == 1:
            shape += as_integers(iter([value]))
        elif number == 2 and isinstance(value, int):
            datatype = value
        elif number in (4, 5, 7, 9, 10) and len(parts) <= _MOST_ELEMENTS:
            parts.append(entry)
        elif number == 8:
            name = as_text(value)
        elif number == 13:
            key, text = _read_entry(as_message(value))
            file = text if key == "location" else file
        elif number == 14:
            is_external = value == _EXTERNAL
    is_small = datatype in _FORMATS and math.prod(shape) <= _MOST_ELEMENTS and not is_external
    elements = tuple(_read_elements(parts, _FORMATS[datatype])) if is_small else None
    return Constant(name, tuple(shape), elements, file if is_external else None)


def _read_elements(parts: list[Field], form: str) -> Iterator[float]:
    for number, value in parts:
        if number in (5, 7):
            yield from as_integers(iter([value]))
        else:
            yield from (element for (element,) in struct.iter_unpack(form, as_message(value)))


def read_sparse_constant(view: memoryview) -> list[Constant]:
    """Returns the tensor, by the name of its values, and that of its indices, which may be external too."""
    parts = {number: as_message(value) for number, value in read_fields(view) if number in (1, 2)}
    shape = as_integers(value for number, value in read_fields(view) if number == 3)
    values, *rest = (read_constant(parts[number]) for number in sorted(parts))
    return [Constant(values.name, shape, None, values.file), *rest]


def _read_entry(view: memoryview) -> tuple[str, str]:
    entry = {number: as_text(value) for number, value in read_fields(view)}
    return entry.get(1, ""), entry.get(2, "")
