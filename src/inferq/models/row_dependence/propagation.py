"""The way of the rows through a graph.

They are followed from the inputs, operator by operator, with the shapes that the file tells. Where an
operator reduces, sorts, accumulates, normalizes or quantizes over the rows, they depend on each other. Rows
may be lost sight of, as after a Reshape to lengths that are computed: then only what takes all values, or
works along the first axis, counts as mixing them. So nothing here proves that rows are independent.
"""

from collections.abc import Mapping, Sequence

from inferq.models.onnx_file import Function, OnnxFile
from inferq.models.onnx_graph import Attribute, Graph, Node, Value
from inferq.models.row_dependence.axis_lengths import ROWS, Length, known, named, unknown
from inferq.models.row_dependence.control_flow import find_reads, follow_branches, follow_loop, follow_scan
from inferq.models.row_dependence.facts import NOTHING, Fact, lost
from inferq.models.row_dependence.node_inputs import NodeInputs, RowsDependError
from inferq.models.row_dependence.operators import RULES
from inferq.models.row_dependence.shapes import describe_constant

_MOST_NODES = 50_000
"""Nodes looked at, those of functions and loops each time: beyond, nothing is said."""

_CONTROL_FLOW = {"If": follow_branches, "Loop": follow_loop, "Scan": follow_scan}

type Facts = dict[str, Fact]


def find_dependence(file: OnnxFile) -> str | None:
    """Looks for an operator that mixes rows.

    Args:
        file: A model.

    Returns:
        A clause that names the operator, its node and what it does to rows; None where none is found, or not
        every input has a first axis of any length, which would hold rows.

    Raises:
        ValueError: The file is malformed, or too large to go through.
    """
    inputs, names = file.graph.free_inputs, file.graph.find_row_names()
    if not all(value.shape and not isinstance(value.shape[0], int) for value in inputs):
        return None
    for value in inputs:
        if not names.isdisjoint((value.shape or ())[1:]):
            return f"the input {value.name!r} has as many columns as there are rows"
    try:
        _Walk(file, names).go(file.graph, [_rows_of(value) for value in inputs], {}, None)
    except RowsDependError as error:
        return str(error)
    return None


def _rows_of(value: Value) -> Fact:
    return Fact((ROWS, *map(_length, (value.shape or ())[1:])), carries=True, axis=0)


def _length(axis: int | str | None) -> Length:
    if isinstance(axis, int):
        return known(axis)
    return named(axis) if axis else unknown()


class _Walk:
    """Goes through the nodes of a file.

    Args:
        file: The file.
        rows: Names that it gives to the number of rows.
    """

    def __init__(self, file: OnnxFile, rows: set[str]) -> None:
        self._file = file
        self._rows = rows
        self._nodes_left = _MOST_NODES

    def go(
        self,
        graph: Graph,
        inputs: Sequence[Fact],
        scope: Facts,
        attributes: Mapping[str, Attribute] | None,
        opsets: Mapping[str, int] | None = None,
    ) -> list[Fact]:
        """Goes through a graph.

        Args:
            graph: The graph, or the body of a loop, a branch or a function.
            inputs: What is known of its inputs, without those that have initializers.
            scope: What is known of the values of the graphs around it.
            attributes: Attributes of the function that it belongs to; None outside functions.
            opsets: Versions of operators, where they are not those of the file.

        Returns:
            What is known of its outputs.

        Raises:
            RowsDependError: An operator mixes rows.
        """
        facts = {**scope, **{name: describe_constant(one) for name, one in graph.constants.items()}}
        facts.update(zip((value.name for value in graph.free_inputs), inputs, strict=False))
        for node in _needed(graph):
            self._nodes_left -= 1
            if self._nodes_left < 0:
                raise ValueError(f"more than {_MOST_NODES} nodes")
            found = self._follow(node, facts, attributes, opsets or self._file.opsets)
            for name, fact in zip(node.outputs, found, strict=False):
                facts[name] = self._settled(fact, graph.values.get(name))
        return [facts.get(value.name, NOTHING) for value in graph.outputs]

    def _settled(self, fact: Fact, declared: Value | None) -> Fact:
        """Completes what is known by what the file says, and by where the number of rows stands."""
        shape = fact.shape
        if shape is None and declared is not None and declared.shape is not None:
            shape = tuple(ROWS if axis in self._rows else _length(axis) for axis in declared.shape)
        if not fact.carries or fact.axis is not None:
            return Fact(shape, fact.carries, fact.axis, fact.content)
        axes = [place for place, length in enumerate(shape or ()) if length.has_rows]
        return fact.along(axes[0] if len(axes) == 1 else None, shape)

    def _follow(
        self,
        node: Node,
        facts: Facts,
        attributes: Mapping[str, Attribute] | None,
        opsets: Mapping[str, int],
    ) -> list[Fact]:
        def find(name: str) -> Attribute | None:
            attribute = node.attributes.get(name)
            if attribute is None or attributes is None or not attribute.reference:
                return attribute
            return attributes.get(attribute.reference)

        inputs = [facts.get(name, NOTHING) for name in node.inputs]
        call = NodeInputs(node, inputs, opsets.get("", 1), find)
        function = self._file.functions.get((node.domain, node.operator, node.overload))
        if function is not None:
            return self._call(call, function)
        if not node.domain and node.operator in _CONTROL_FLOW:
            return _CONTROL_FLOW[node.operator](
                call, lambda body, given: self.go(body, given, facts, attributes, opsets)
            )
        rule = RULES.get(node.domain, {}).get(node.operator)
        found = lost(inputs) if rule is None else rule(call)
        return found if isinstance(found, list) else [found] * len(node.outputs)

    def _call(self, call: NodeInputs, function: Function) -> list[Fact]:
        found = {name: call.find(name) for name in call.node.attributes}
        attributes = function.defaults | {name: one for name, one in found.items() if one is not None}
        given = [*call.inputs, *[NOTHING] * (len(function.body.inputs) - len(call.inputs))]
        return self.go(function.body, given, {}, attributes, function.opsets)


def _needed(graph: Graph) -> list[Node]:
    """The nodes on which an output depends, in order."""
    wanted = {value.name for value in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            nodes.append(node)
            wanted.update(find_reads(node))
    return nodes[::-1]
