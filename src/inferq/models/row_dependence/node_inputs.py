"""A node, and what is known of what goes into it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from inferq.models.onnx_graph import Attribute, Graph, Node
from inferq.models.row_dependence.facts import NOTHING, Fact

ALL_AXES = range(-64, 64)
"""Every axis, from the front and the back."""


class RowsDependError(Exception):
    """An operator mixes rows; the message says which, and how."""


@dataclass(frozen=True, slots=True)
class NodeInputs:
    """A node, and what is known of its inputs.

    Attributes:
        node: The node.
        inputs: What is known of each input; nothing of those that are left out.
        version: Version of ONNX's own operators.
        find: Returns an attribute of the node by name.
    """

    node: Node
    inputs: Sequence[Fact]
    version: int
    find: Callable[[str], Attribute | None]

    def input(self, place: int) -> Fact:
        """What is known of an input; nothing of one that is left out."""
        return self.inputs[place] if place < len(self.inputs) else NOTHING

    def has(self, place: int) -> bool:
        """Whether an input is not left out."""
        return place < len(self.node.inputs) and bool(self.node.inputs[place])

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        attribute = self.find(name)
        return default if attribute is None else attribute.integer

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute; None where it is left out."""
        attribute = self.find(name)
        return None if attribute is None else attribute.integers

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        attribute = self.find(name)
        return default if attribute is None else attribute.text

    def body(self, name: str) -> Graph:
        """A sub-graph; an empty one where it is left out."""
        attribute = self.find(name)
        return attribute.graphs[0] if attribute is not None and attribute.graphs else Graph()

    def axes(self, place: int) -> list[int] | None:
        """The axes that an attribute, or in newer versions an input, names: none for all, None: unknown."""
        axes = self.integers("axes")
        if axes is not None:
            return list(axes)
        return self.input(place).numbers if self.has(place) else []

    def refuse(self, how: str) -> NoReturn:
        """Ends the analysis.

        Raises:
            RowsDependError: Always.
        """
        name = self.node.name or next(iter(self.node.outputs), "")
        raise RowsDependError(f"{self.node.operator} {name!r} {how}")

    def keep_apart(self, fact: Fact, axes: Iterable[int], how: str, *, guess: bool = False) -> None:
        """Refuses what happens along some axes if the rows are along one of them.

        Args:
            fact: What it happens to.
            axes: The axes, from the front or the back.
            how: What happens to the rows, for the message.
            guess: Whether rows that have been lost sight of are taken to be along the first axis.
        """
        axis = 0 if guess and fact.carries and fact.axis is None else fact.axis
        if axis is not None and axis in {fact.counted(one) for one in axes}:
            self.refuse(how)


type Rule = Callable[[NodeInputs], Fact | list[Fact]]
"""Tells of an operator's outputs; one fact is that of each."""
