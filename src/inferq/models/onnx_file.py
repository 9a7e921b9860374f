"""The structure of an ONNX file, read without its weights.

The package `onnx` would read it too, for 12 MB of memory in every worker and a copy of all weights. Little of
the format is needed: fields of Protocol Buffers, most of which are passed over by their length. Their numbers
are those of `onnx.proto`, and are the same in all its versions.
"""

import math
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from inferq.models.protobuf import Field, as_integers, as_message, as_signed, as_text, read_fields

_FORMATS = {1: "<f", 6: "<i", 7: "<q", 9: "<?", 11: "<d"}
"""How the elements of FP32, INT32, INT64, BOOL and FP64 are stored, by the number of the datatype."""
_EXTERNAL = 1
_MADE_UP = re.compile(r"unk__\d+|.*_dynamic_axes_\d+|.*DynamicDimension\.\d+|\W+")
"""Names of axes by tf2onnx and ONNX itself, torch and Paddle, where nobody has given one."""
_MOST_ELEMENTS = 256
"""Tensors with more are weights: their elements are not read."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input, an output, or a value between two nodes.

    Attributes:
        name: Its name in the graph.
        shape: Length or name of each axis, None where an axis has neither; None as a whole where the file
            does not say how many axes there are, or it is no tensor.
    """

    name: str
    shape: tuple[int | str | None, ...] | None


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


class Attribute:
    """An attribute of a node, decoded when it is asked for: those of trees have millions of values."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    @cached_property
    def name(self) -> str:
        """Its name."""
        return as_text(next((value for number, value in read_fields(self._view) if number == 1), b""))

    @cached_property
    def reference(self) -> str:
        """Within a function: the attribute of its call that this one stands for; else empty."""
        return as_text(self._first(21) or b"")

    @cached_property
    def integer(self) -> int:
        """Its value, if it is an integer; some writers leave 0 out."""
        value = self._first(3)
        return as_signed(value) if isinstance(value, int) else 0

    @cached_property
    def text(self) -> str:
        """Its value, if it is a string."""
        return as_text(self._first(4) or b"")

    @cached_property
    def integers(self) -> tuple[int, ...] | None:
        """Its value, if it is a list of integers and not an empty one."""
        return as_integers(value for number, value in read_fields(self._view) if number == 8) or None

    @cached_property
    def strings(self) -> tuple[str, ...]:
        """Its value, if it is a list of strings."""
        return tuple(as_text(value) for number, value in read_fields(self._view) if number == 9)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """Its tensors, if it has any."""
        found: list[Constant] = []
        for number, value in self._short_fields():
            if number in (5, 10):
                found.append(_read_constant(as_message(value)))
            elif number in (22, 23):
                found += _read_sparse(as_message(value))
        return tuple(found)

    @cached_property
    def graphs(self) -> "tuple[Graph, ...]":
        """Its sub-graphs, if it has any."""
        return tuple(
            Graph.read(as_message(value)) for number, value in self._short_fields() if number in (6, 11)
        )

    def _first(self, wanted: int) -> "int | memoryview | None":
        return next((value for number, value in read_fields(self._view) if number == wanted), None)

    def _short_fields(self) -> "Iterator[Field]":
        """The fields of an attribute that is no list of numbers or strings."""
        for entry in read_fields(self._view):
            if entry.number in (7, 8, 9):
                return
            yield entry


@dataclass(slots=True)
class Node:
    """A call of an operator.

    Attributes:
        operator: The operator's name.
        domain: The operator's domain; empty for ONNX's own.
        overload: Which function of several with this name; mostly empty.
        name: The node's name; may be empty.
        inputs: Names of its inputs; empty where an optional one is left out.
        outputs: Names of its outputs, likewise.
        attributes: Its attributes by name.
    """

    operator: str = ""
    domain: str = ""
    overload: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        """Decodes a NodeProto."""
        node = cls()
        for number, value in read_fields(view):
            if number == 1:
                node.inputs.append(as_text(value))
            elif number == 2:
                node.outputs.append(as_text(value))
            elif number == 3:
                node.name = as_text(value)
            elif number == 4:
                node.operator = as_text(value)
            elif number == 5:
                attribute = Attribute(as_message(value))
                node.attributes[attribute.name] = attribute
            elif number == 7:
                node.domain = _read_domain(value)
            elif number == 8:
                node.overload = as_text(value)
        return node


@dataclass(slots=True)
class Graph:
    """A graph, or the body of a loop, a branch or a function.

    Attributes:
        nodes: Its nodes, each after those whose outputs it takes.
        inputs: Its inputs, those with an initializer among them.
        outputs: Its outputs.
        constants: Its initializers by name.
        values: What the file says of values between nodes, by name.
    """

    nodes: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)

    @classmethod
    def read(cls, view: memoryview) -> Self:
        """Decodes a GraphProto."""
        graph = cls()
        for number, value in read_fields(view):
            if number == 1:
                graph.nodes.append(Node.read(as_message(value)))
            elif number == 5:
                graph._add(_read_constant(as_message(value)))
            elif number == 11:
                graph.inputs.append(_read_value(as_message(value)))
            elif number == 12:
                graph.outputs.append(_read_value(as_message(value)))
            elif number == 13:
                between = _read_value(as_message(value))
                graph.values[between.name] = between
            elif number == 15:
                for constant in _read_sparse(as_message(value)):
                    graph._add(constant)
        return graph

    def _add(self, constant: Constant) -> None:
        self.constants[constant.name] = constant

    @property
    def free_inputs(self) -> list[Value]:
        """Its inputs that have no initializer, so that a caller must give them."""
        return [value for value in self.inputs if value.name not in self.constants]

    def find_row_names(self) -> set[str]:
        """Returns the names of its inputs' first axes, without those that an exporter made up for each."""
        names = {value.shape[0] for value in self.free_inputs if value.shape}
        return {name for name in names if isinstance(name, str) and not _MADE_UP.fullmatch(name)}

    def find_files(self) -> Iterator[str]:
        """Yields the external file of each tensor that has one, those in sub-graphs too."""
        yield from (constant.file for constant in self.constants.values() if constant.file)
        for node in self.nodes:
            for attribute in node.attributes.values():
                yield from (constant.file for constant in attribute.constants if constant.file)
                for graph in attribute.graphs:
                    yield from graph.find_files()


@dataclass(slots=True)
class Function:
    """An operator that the file itself defines.

    Attributes:
        body: Its nodes, with its parameters as inputs and its results as outputs.
        defaults: Attributes that a call may leave out.
        opsets: Version of the operators of each domain, which may differ from the model's.
    """

    body: Graph = field(default_factory=Graph)
    defaults: dict[str, Attribute] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class OnnxFile:
    """What an ONNX file holds but for weights.

    Attributes:
        graph: The main graph.
        opsets: Version of the operators of each domain; empty for ONNX's own.
        functions: The file's own operators by domain, name and overload.
    """

    graph: Graph = field(default_factory=Graph)
    opsets: dict[str, int] = field(default_factory=dict)
    functions: dict[tuple[str, str, str], Function] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file, of which only the pages with structure in them are loaded.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what ONNX writes.
        """
        found = cls()
        # not closed by hand: attributes, decoded late, look into it
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for number, value in read_fields(view):
            if number == 7:
                found.graph = Graph.read(as_message(value))
            elif number == 8:
                found.opsets.update(_read_opset(as_message(value)))
            elif number == 25:
                key, function = _read_function(as_message(value))
                found.functions[key] = function
        return found

    def find_files(self) -> list[str]:
        """Returns the external files that its tensors name, each once, in alphabetical order."""
        graphs = [self.graph, *(function.body for function in self.functions.values())]
        return sorted({file for graph in graphs for file in graph.find_files()})


def _read_domain(value: int | memoryview) -> str:
    """Returns the domain of an operator; ONNX's own has two names."""
    domain = as_text(value)
    return "" if domain == "ai.onnx" else domain


def _read_opset(view: memoryview) -> dict[str, int]:
    domain, version = "", 1
    for number, value in read_fields(view):
        if number == 1:
            domain = _read_domain(value)
        elif number == 2 and isinstance(value, int):
            version = value
    return {domain: version}


def _read_function(view: memoryview) -> tuple[tuple[str, str, str], Function]:
    function, name, domain, overload = Function(), "", "", ""
    for number, value in read_fields(view):
        if number == 1:
            name = as_text(value)
        elif number == 4:
            function.body.inputs.append(Value(as_text(value), None))
        elif number == 5:
            function.body.outputs.append(Value(as_text(value), None))
        elif number == 7:
            function.body.nodes.append(Node.read(as_message(value)))
        elif number == 9:
            function.opsets.update(_read_opset(as_message(value)))
        elif number == 10:
            domain = _read_domain(value)
        elif number == 11:
            attribute = Attribute(as_message(value))
            function.defaults[attribute.name] = attribute
        elif number == 13:
            overload = as_text(value)
    return (domain, name, overload), function


def _read_value(view: memoryview) -> Value:
    name, shape = "", None
    for number, value in read_fields(view):
        if number == 1:
            name = as_text(value)
        elif number == 2:
            shape = _read_type(as_message(value))
    return Value(name, shape)


def _read_type(view: memoryview) -> tuple[int | str | None, ...] | None:
    for number, value in read_fields(view):
        if number == 1:
            for inner, shape in read_fields(as_message(value)):
                if inner == 2:
                    axes = (axis for part, axis in read_fields(as_message(shape)) if part == 1)
                    return tuple(_read_axis(as_message(axis)) for axis in axes)
    return None


def _read_axis(view: memoryview) -> int | str | None:
    length: int | str | None = None
    for number, value in read_fields(view):
        if number == 1 and isinstance(value, int):
            length = as_signed(value) if as_signed(value) >= 0 else None
        elif number == 2:
            length = as_text(value) or None
    return length


def _read_constant(view: memoryview) -> Constant:
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
            key, place = _read_entry(as_message(value))
            file = place if key == "location" else file
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


def _read_sparse(view: memoryview) -> list[Constant]:
    """Returns the tensor, by the name of its values, and that of its indices, which may be external too."""
    parts = {number: as_message(value) for number, value in read_fields(view) if number in (1, 2)}
    shape = as_integers(value for number, value in read_fields(view) if number == 3)
    values, *rest = (_read_constant(parts[number]) for number in sorted(parts))
    return [Constant(values.name, shape, None, values.file), *rest]


def _read_entry(view: memoryview) -> tuple[str, str]:
    entry = {number: as_text(value) for number, value in read_fields(view)}
    return entry.get(1, ""), entry.get(2, "")
