"""A graph in an ONNX file: its nodes, their attributes, and its values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from inferq.models.onnx_files.onnx_constant import Constant, read_constant, read_sparse_constant
from inferq.models.onnx_files.protobuf import Field, as_integers, as_message, as_signed, as_text, read_fields

_MADE_UP = re.compile(r"unk__\d+|.*_dynamic_axes_\d+|.*DynamicDimension\.\d+|\W+")
"""Names of axes by tf2onnx and ONNX itself, torch and Paddle, where nobody has given one."""


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
                found.append(read_constant(as_message(value)))
            elif number in (22, 23):
                found += read_sparse_constant(as_message(value))
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
                node.domain = read_domain(value)
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
                graph._add(read_constant(as_message(value)))
            elif number == 11:
                graph.inputs.append(_read_value(as_message(value)))
            elif number == 12:
                graph.outputs.append(_read_value(as_message(value)))
            elif number == 13:
                between = _read_value(as_message(value))
                graph.values[between.name] = between
            elif number == 15:
                for constant in read_sparse_constant(as_message(value)):
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


def read_domain(value: int | memoryview) -> str:
    """Returns the domain of an operator; ONNX's own has two names."""
    domain = as_text(value)
    return "" if domain == "ai.onnx" else domain


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
