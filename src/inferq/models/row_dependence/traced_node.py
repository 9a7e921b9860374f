"""A node of a graph, and what is known about its inputs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from inferq.models.onnx_files.onnx_graph import Attribute, Graph, Node
from inferq.models.row_dependence.abstract_values import UNKNOWN, AbstractValue

ALL_AXES = range(-64, 64)
"""Every axis, from the front and the back."""


class RowsDependError(Exception):
    """An operator mixes rows; the message says which, and how."""


@dataclass(frozen=True, slots=True)
class TracedNode:
    """A node, and what is known about its inputs.

    Attributes:
        definition: The node as the file has it.
        inputs: What is known about each input; `UNKNOWN` for one that is left out.
        version: Version of ONNX's operator set.
        find: Returns an attribute of the node by name.
    """

    definition: Node
    inputs: Sequence[AbstractValue]
    version: int
    find: Callable[[str], Attribute | None]

    @property
    def operator(self) -> str:
        """The operator's name."""
        return self.definition.operator

    @property
    def domain(self) -> str:
        """The operator's domain; empty for ONNX's own."""
        return self.definition.domain

    @property
    def outputs(self) -> list[str]:
        """Names of its outputs; empty where an optional one is left out."""
        return self.definition.outputs

    def input(self, index: int) -> AbstractValue:
        """Returns what is known about an input; `UNKNOWN` for one that is left out."""
        return self.inputs[index] if index < len(self.inputs) else UNKNOWN

    def has_input(self, index: int) -> bool:
        """Whether an input is there, not left out."""
        return index < len(self.definition.inputs) and bool(self.definition.inputs[index])

    def integer(self, name: str, default: int) -> int:
        """Returns an integer attribute."""
        attribute = self.find(name)
        return default if attribute is None else attribute.integer

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Returns an attribute that is a list of integers; None where it is left out."""
        attribute = self.find(name)
        return None if attribute is None else attribute.integers

    def text(self, name: str, default: str) -> str:
        """Returns a string attribute."""
        attribute = self.find(name)
        return default if attribute is None else attribute.text

    def body(self, name: str) -> Graph:
        """Returns a sub-graph; an empty one where it is left out."""
        attribute = self.find(name)
        return attribute.graphs[0] if attribute is not None and attribute.graphs else Graph()

    def axes(self, index: int) -> list[int] | None:
        """Returns the axes that the attribute `axes`, or in newer versions an input, names.

        Returns:
            The axes; an empty list where all are meant, None where they are not known.
        """
        axes = self.integers("axes")
        if axes is not None:
            return list(axes)
        return self.input(index).integers if self.has_input(index) else []

    def refuse(self, how: str) -> NoReturn:
        """Ends the analysis: the node mixes rows.

        Args:
            how: What it does to rows, as the end of a sentence.

        Raises:
            RowsDependError: Always.
        """
        name = self.definition.name or next(iter(self.outputs), "")
        raise RowsDependError(f"{self.operator} {name!r} {how}")

    def refuse_along(
        self, value: AbstractValue, axes: Iterable[int], how: str, *, assume_first: bool = False
    ) -> None:
        """Ends the analysis if the rows of a value are along one of some axes.

        Args:
            value: The value.
            axes: The axes along which the operator mixes values, from the front or the back.
            how: What it does to rows, as the end of a sentence.
            assume_first: Whether rows whose axis is not known are taken to be along the first.

        Raises:
            RowsDependError: They are.
        """
        axis = 0 if assume_first and value.holds_rows and value.row_axis is None else value.row_axis
        if axis is not None and axis in {value.normalize_axis(one) for one in axes}:
            self.refuse(how)


type Rule = Callable[[TracedNode], AbstractValue | list[AbstractValue]]
"""Returns what is known about each output of a node; a single value stands for all outputs."""
