"""Rows through branches and loops: `If`, `Loop`, `Scan`."""

from collections.abc import Callable, Iterator, Sequence

from inferq.models.onnx_files.onnx_graph import Graph, Node
from inferq.models.row_dependence.abstract_values import AbstractValue, join
from inferq.models.row_dependence.axis_lengths import make_unknown_length
from inferq.models.row_dependence.traced_node import TracedNode

_ROUNDS = 3
"""How often the body of a loop is followed, as what is known about its state changes."""

type RunBody = Callable[[Graph, Sequence[AbstractValue]], list[AbstractValue]]
"""Follows rows through a body: from what is known about its inputs to that about its outputs."""


def follow_if(node: TracedNode, run: RunBody) -> list[AbstractValue]:
    """Follows rows through `If`, which takes one branch for all of them."""
    condition = node.input(0)
    if condition.holds_rows:
        node.refuse("takes one branch for all rows")
    names = ["then_branch", "else_branch"]
    if condition.integers:
        names = names[:1] if condition.integers[0] else names[1:]
    first, *others = [run(node.body(name), []) for name in names]
    for other in others:
        first = [join(*pair) for pair in zip(first, other, strict=False)]
    return first


def follow_loop(node: TracedNode, run: RunBody) -> list[AbstractValue]:
    """Follows rows through `Loop`, which runs its body equally often for all of them."""
    if node.input(0).holds_rows or node.input(1).holds_rows:
        node.refuse("goes as many rounds as all rows say")
    body = node.body("body")
    iteration = [AbstractValue(()), AbstractValue(())]  # its number, and the condition

    def run_round(state: Sequence[AbstractValue]) -> list[AbstractValue]:
        condition, *rest = run(body, [*iteration, *state])
        if condition.holds_rows:
            node.refuse("goes as many rounds as all rows say")
        return rest

    state, scan_outputs = _run_to_fixed_point(list(node.inputs[2:]), run_round)
    return [*state, *(_stack(value, 0) for value in scan_outputs)]


def follow_scan(node: TracedNode, run: RunBody) -> list[AbstractValue]:
    """Follows rows through `Scan`, which runs its body for each entry of its inputs along an axis."""
    if node.version < 9:  # it took a whole batch
        return [AbstractValue(holds_rows=any(value.holds_rows for value in node.inputs))] * len(node.outputs)
    body = node.body("body")
    count = len(node.inputs) - node.integer("num_scan_inputs", len(node.inputs))
    initial, scan_inputs = list(node.inputs[:count]), node.inputs[count:]
    axes = node.integers("scan_input_axes") or (0,) * len(scan_inputs)
    outer = node.integers("scan_output_axes") or (0,) * (len(node.outputs) - count)
    scan_axes = [value.normalize_axis(axis) for value, axis in zip(scan_inputs, axes, strict=True)]
    rows = {
        count + index
        for index, value in enumerate(scan_inputs)
        if value.holds_rows and value.row_axis == scan_axes[index]
    }
    entries = [_take_entry(value, axis) for value, axis in zip(scan_inputs, scan_axes, strict=True)]
    if not rows:
        state, scan_outputs = _run_to_fixed_point(initial, lambda state: run(body, [*state, *entries]))
        return [*state, *(_stack(value, axis) for value, axis in zip(scan_outputs, outer, strict=False))]
    names = [value.name for value in body.inputs]
    dependent = _find_dependent_outputs(body, {names[index] for index in rows})
    if dependent[:count].count(True):
        node.refuse("passes on from row to row")
    results = run(body, [*initial, *entries])
    if any(value.holds_rows for value in results):
        node.refuse("compares each row with every other")
    found = results[:count]
    for value, depends_on_rows, axis in zip(results[count:], dependent[count:], outer, strict=False):
        stacked = _stack(value, axis)
        is_known = depends_on_rows and axis >= 0
        found.append(AbstractValue(stacked.shape, depends_on_rows, axis if is_known else None))
    return found


def _run_to_fixed_point(
    state: list[AbstractValue], run_round: Callable[[Sequence[AbstractValue]], list[AbstractValue]]
) -> tuple[list[AbstractValue], list[AbstractValue]]:
    """Follows a body until what is known about its state is stable; returns that, and the other outputs."""
    rest: list[AbstractValue] = []
    for _ in range(_ROUNDS):
        results = run_round(state)
        rest = results[len(state) :]
        merged = [join(before, after) for before, after in zip(state, results, strict=False)]
        if merged == state:
            break
        state = merged
    return state, rest


def _take_entry(value: AbstractValue, axis: int) -> AbstractValue:
    """Returns one entry along an axis; along the row axis this is a single row, apart from all others."""
    shape = None if value.shape is None else (*value.shape[:axis], *value.shape[axis + 1 :])
    if value.row_axis is None or value.row_axis == axis:
        return AbstractValue(shape, value.holds_rows and value.row_axis is None)
    return value.with_row_axis(value.row_axis - (axis < value.row_axis), shape)


def _stack(value: AbstractValue, axis: int) -> AbstractValue:
    """Returns entries stacked along a new axis."""
    shape = None
    if value.shape is not None and axis >= 0:
        shape = (*value.shape[:axis], make_unknown_length(), *value.shape[axis:])
    return value.with_row_axis(
        None if value.row_axis is None or axis < 0 else value.row_axis + (axis <= value.row_axis), shape
    )


def _find_dependent_outputs(body: Graph, names: set[str]) -> list[bool]:
    """Returns for each output of a body whether it depends on one of these inputs."""
    for node in body.nodes:
        if not names.isdisjoint(find_read_values(node)):
            names.update(node.outputs)
    return [value.name in names for value in body.outputs]


def find_read_values(node: Node) -> Iterator[str]:
    """Yields the names of the values that a node reads, those of its sub-graphs among them."""
    yield from node.inputs
    for attribute in node.attributes.values():
        for graph in attribute.graphs:
            yield from (value.name for value in graph.outputs)
            for inner in graph.nodes:
                yield from find_read_values(inner)
