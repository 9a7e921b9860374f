"""A data-flow analysis: which axis of each value in a graph holds the rows of the inputs.

The row axis is propagated from the inputs, operator by operator, with the shapes that the file gives. Where
an operator reduces, sorts, accumulates, normalizes or quantizes along it, the rows depend on each other. The
row axis may become unknown, as after a Reshape to computed lengths: then only an operator that takes all
values, or works along the first axis, counts as one that mixes rows. So the analysis never proves that rows
are independent.
"""

from collections.abc import Mapping, Sequence

from inferq.models.onnx_files.onnx_file import Function, OnnxFile
from inferq.models.onnx_files.onnx_graph import Attribute, Graph, Node, Value
from inferq.models.row_dependence.abstract_values import UNKNOWN, AbstractValue, make_untracked
from inferq.models.row_dependence.axis_lengths import (
    ROWS,
    Length,
    make_length,
    make_named_length,
    make_unknown_length,
)
from inferq.models.row_dependence.control_flow import (
    find_read_values,
    follow_if,
    follow_loop,
    follow_scan,
)
from inferq.models.row_dependence.operators import RULES
from inferq.models.row_dependence.shapes import describe_constant
from inferq.models.row_dependence.traced_node import RowsDependError, TracedNode

_MOST_NODES = 50_000
"""Nodes to follow, those of functions and loops each time: with more, the analysis is given up."""

_CONTROL_FLOW = {"If": follow_if, "Loop": follow_loop, "Scan": follow_scan}

type Environment = dict[str, AbstractValue]
"""What is known about values, by name."""


def find_dependence(file: OnnxFile) -> str | None:
    """Finds an operator that mixes rows.

    Args:
        file: A model.

    Returns:
        A clause that names the operator, its node and what it does to rows; None where none is found, or not
        every input has a dynamic first axis, which would hold rows.

    Raises:
        ValueError: The file is malformed, or has too many nodes.
    """
    inputs, names = file.graph.free_inputs, file.graph.find_row_names()
    if not all(value.shape and not isinstance(value.shape[0], int) for value in inputs):
        return None
    for value in inputs:
        if not names.isdisjoint((value.shape or ())[1:]):
            return f"the input {value.name!r} has as many columns as there are rows"
    try:
        _Propagation(file, names).run_graph(
            file.graph, [_make_input_value(value) for value in inputs], {}, None
        )
    except RowsDependError as error:
        return str(error)
    return None


def _make_input_value(value: Value) -> AbstractValue:
    return AbstractValue((ROWS, *map(_read_length, (value.shape or ())[1:])), holds_rows=True, row_axis=0)


def _read_length(axis: int | str | None) -> Length:
    if isinstance(axis, int):
        return make_length(axis)
    return make_named_length(axis) if axis else make_unknown_length()


class _Propagation:
    """Follows rows through the nodes of a file.

    Args:
        file: The file.
        rows: The names of the axes that hold rows.
    """

    def __init__(self, file: OnnxFile, rows: set[str]) -> None:
        self._file = file
        self._rows = rows
        self._nodes_left = _MOST_NODES

    def run_graph(
        self,
        graph: Graph,
        inputs: Sequence[AbstractValue],
        scope: Environment,
        attributes: Mapping[str, Attribute] | None,
        opsets: Mapping[str, int] | None = None,
    ) -> list[AbstractValue]:
        """Follows rows through a graph.

        Args:
            graph: The graph, or the body of a loop, a branch or a function.
            inputs: What is known about its inputs, without those that have initializers.
            scope: What is known about the values of the graphs around it, by name.
            attributes: Attributes of the function that it belongs to; None outside functions.
            opsets: Versions of operators, where they are not those of the file.

        Returns:
            What is known about its outputs.

        Raises:
            RowsDependError: An operator mixes rows.
        """
        values = {**scope, **{name: describe_constant(one) for name, one in graph.constants.items()}}
        values.update(zip((value.name for value in graph.free_inputs), inputs, strict=False))
        for node in _find_live_nodes(graph):
            self._nodes_left -= 1
            if self._nodes_left < 0:
                raise ValueError(f"more than {_MOST_NODES} nodes")
            found = self._follow(node, values, attributes, opsets or self._file.opsets)
            for name, value in zip(node.outputs, found, strict=False):
                values[name] = self._refine(value, graph.values.get(name))
        return [values.get(value.name, UNKNOWN) for value in graph.outputs]

    def _refine(self, value: AbstractValue, declared: Value | None) -> AbstractValue:
        """Adds the shape that the file declares, and the row axis if a single axis has a length in rows."""
        shape = value.shape
        if shape is None and declared is not None and declared.shape is not None:
            shape = tuple(ROWS if axis in self._rows else _read_length(axis) for axis in declared.shape)
        if not value.holds_rows or value.row_axis is not None:
            return AbstractValue(shape, value.holds_rows, value.row_axis, value.elements)
        axes = [position for position, length in enumerate(shape or ()) if length.has_rows]
        return value.with_row_axis(axes[0] if len(axes) == 1 else None, shape)

    def _follow(
        self,
        node: Node,
        values: Environment,
        attributes: Mapping[str, Attribute] | None,
        opsets: Mapping[str, int],
    ) -> list[AbstractValue]:
        def find(name: str) -> Attribute | None:
            attribute = node.attributes.get(name)
            if attribute is None or attributes is None or not attribute.reference:
                return attribute
            return attributes.get(attribute.reference)

        inputs = [values.get(name, UNKNOWN) for name in node.inputs]
        traced = TracedNode(node, inputs, opsets.get("", 1), find)
        function = self._file.functions.get((node.domain, node.operator, node.overload))
        if function is not None:
            return self._call_function(traced, function)
        if not node.domain and node.operator in _CONTROL_FLOW:
            return _CONTROL_FLOW[node.operator](
                traced, lambda body, given: self.run_graph(body, given, values, attributes, opsets)
            )
        rule = RULES.get(node.domain, {}).get(node.operator)
        found = make_untracked(inputs) if rule is None else rule(traced)
        return found if isinstance(found, list) else [found] * len(node.outputs)

    def _call_function(self, node: TracedNode, function: Function) -> list[AbstractValue]:
        found = {name: node.find(name) for name in node.definition.attributes}
        attributes = function.defaults | {name: one for name, one in found.items() if one is not None}
        given = [*node.inputs, *[UNKNOWN] * (len(function.body.inputs) - len(node.inputs))]
        return self.run_graph(function.body, given, {}, attributes, function.opsets)


def _find_live_nodes(graph: Graph) -> list[Node]:
    """Returns the nodes on which an output depends, in order."""
    live = {value.name for value in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if not live.isdisjoint(node.outputs):
            nodes.append(node)
            live.update(find_read_values(node))
    return nodes[::-1]
