"""What branches and loops do to rows."""

from collections.abc import Callable, Iterator, Sequence

from inferq.models.onnx_graph import Graph, Node
from inferq.models.row_dependence.axis_lengths import unknown
from inferq.models.row_dependence.facts import Fact, merge
from inferq.models.row_dependence.node_inputs import NodeInputs

_ROUNDS = 3
"""How often a loop's body is gone through, as what is known of its state changes."""

type Run = Callable[[Graph, Sequence[Fact]], list[Fact]]
"""Goes through a body with what is known of its inputs; returns what is known of its outputs."""


def follow_branches(call: NodeInputs, run: Run) -> list[Fact]:
    """Follows rows through `If`, which takes one branch for all of them."""
    condition = call.input(0)
    if condition.carries:
        call.refuse("takes one branch for all rows")
    names = ["then_branch", "else_branch"]
    if condition.numbers:
        names = names[:1] if condition.numbers[0] else names[1:]
    first, *others = [run(call.body(name), []) for name in names]
    for other in others:
        first = [merge(one, twin) for one, twin in zip(first, other, strict=False)]
    return first


def follow_loop(call: NodeInputs, run: Run) -> list[Fact]:
    """Follows rows through `Loop`, which goes as many rounds for all of them."""
    if call.input(0).carries or call.input(1).carries:
        call.refuse("goes as many rounds as all rows say")
    body = call.body("body")
    steady = [Fact(()), Fact(())]

    def turn(state: Sequence[Fact]) -> list[Fact]:
        going_on, *rest = run(body, [*steady, *state])
        if going_on.carries:
            call.refuse("goes as many rounds as all rows say")
        return rest

    state, collected = _settle(list(call.inputs[2:]), turn)
    return [*state, *(_stacked(fact, 0) for fact in collected)]


def follow_scan(call: NodeInputs, run: Run) -> list[Fact]:
    """Follows rows through `Scan`, which takes its inputs apart along an axis, entry after entry."""
    if call.version < 9:  # it took a whole batch
        return [Fact(carries=any(fact.carries for fact in call.inputs))] * len(call.node.outputs)
    body = call.body("body")
    count = len(call.inputs) - call.integer("num_scan_inputs", len(call.inputs))
    given, scanned = list(call.inputs[:count]), call.inputs[count:]
    axes = call.integers("scan_input_axes") or (0,) * len(scanned)
    outer = call.integers("scan_output_axes") or (0,) * (len(call.node.outputs) - count)
    places = [fact.counted(axis) for fact, axis in zip(scanned, axes, strict=True)]
    rows = {count + at for at, fact in enumerate(scanned) if fact.carries and fact.axis == places[at]}
    entries = [_entry(fact, place) for fact, place in zip(scanned, places, strict=True)]
    if not rows:
        state, collected = _settle(given, lambda state: run(body, [*state, *entries]))
        return [*state, *(_stacked(fact, axis) for fact, axis in zip(collected, outer, strict=False))]
    names = [value.name for value in body.inputs]
    touched = _touched(body, {names[at] for at in rows})
    if touched[:count].count(True):
        call.refuse("passes on from row to row")
    results = run(body, [*given, *entries])
    if any(fact.carries for fact in results):
        call.refuse("compares each row with every other")
    found = results[:count]
    for fact, is_touched, axis in zip(results[count:], touched[count:], outer, strict=False):
        stacked = _stacked(fact, axis)
        is_placed = is_touched and axis >= 0
        found.append(Fact(stacked.shape, is_touched, axis if is_placed else None))
    return found


def _settle(state: list[Fact], turn: Callable[[Sequence[Fact]], list[Fact]]) -> tuple[list[Fact], list[Fact]]:
    """Goes through a body until what is known of its state does not change; returns that, and the rest."""
    rest: list[Fact] = []
    for _ in range(_ROUNDS):
        results = turn(state)
        rest = results[len(state) :]
        merged = [merge(before, after) for before, after in zip(state, results, strict=False)]
        if merged == state:
            break
        state = merged
    return state, rest


def _entry(fact: Fact, place: int) -> Fact:
    """One entry along an axis: if that is the rows', it carries none, as no other row is in reach."""
    shape = None if fact.shape is None else (*fact.shape[:place], *fact.shape[place + 1 :])
    if fact.axis is None or fact.axis == place:
        return Fact(shape, fact.carries and fact.axis is None)
    return fact.along(fact.axis - (place < fact.axis), shape)


def _stacked(fact: Fact, axis: int) -> Fact:
    """Entries put together along a new axis."""
    shape = None
    if fact.shape is not None and axis >= 0:
        shape = (*fact.shape[:axis], unknown(), *fact.shape[axis:])
    return fact.along(None if fact.axis is None or axis < 0 else fact.axis + (axis <= fact.axis), shape)


def _touched(body: Graph, names: set[str]) -> list[bool]:
    """Whether each output of a body is made of these inputs."""
    for node in body.nodes:
        if not names.isdisjoint(find_reads(node)):
            names.update(node.outputs)
    return [value.name in names for value in body.outputs]


def find_reads(node: Node) -> Iterator[str]:
    """Yields the values that a node takes, and those that its sub-graphs do."""
    yield from node.inputs
    for attribute in node.attributes.values():
        for graph in attribute.graphs:
            yield from (value.name for value in graph.outputs)
            for inner in graph.nodes:
                yield from find_reads(inner)
