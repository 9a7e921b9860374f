"""Layers of neural networks, and scikit-learn's models."""

from inferq.models.row_dependence.axis_lengths import ONE, ROWS, multiply, unknown
from inferq.models.row_dependence.facts import Fact, lost, with_length
from inferq.models.row_dependence.node_inputs import NodeInputs


def follow_per_picture(call: NodeInputs) -> Fact:
    """What works within the pictures, signals or volumes of a batch, [n, channels, …]."""
    fact = call.input(0)
    if any(other.carries for other in call.inputs[1:] if other.axis != 0):
        return lost(call.inputs)
    call.keep_apart(fact, range(1, 64), "works across all rows")
    shape = None if fact.shape is None else (fact.shape[0], *(unknown() for _ in fact.shape[1:]))
    return fact.along(fact.axis, shape)


def follow_global_pool(call: NodeInputs) -> Fact:
    """Follows rows through `GlobalAveragePool` and its like."""
    fact = follow_per_picture(call)
    ones = None if fact.shape is None else (*fact.shape[:2], *(ONE for _ in fact.shape[2:]))
    return fact.along(fact.axis, ones)


def follow_recurrent(call: NodeInputs) -> list[Fact]:
    """Follows rows through `LSTM`, `GRU` and `RNN`, whose first axis is time unless told otherwise."""
    is_batch_first = call.integer("layout", 0) == 1
    fact, batch = call.input(0), 0 if is_batch_first else 1
    call.keep_apart(fact, [axis for axis in range(3) if axis != batch], "takes all rows for one sequence")
    carries = any(one.carries for one in call.inputs)
    length = (ROWS if carries else unknown(),)
    steps = (unknown(), unknown(), *length) if batch else (*length, unknown(), unknown())
    state = (unknown(), *length) if batch else (*length, unknown())
    is_known = carries and (fact.axis is not None or not fact.carries)
    return [
        Fact((*steps, unknown()), carries, (2 if batch else 0) if is_known else None),
        *[Fact((*state, unknown()), carries, batch if is_known else None)] * (len(call.node.outputs) - 1),
    ]


def follow_attention(call: NodeInputs) -> list[Fact]:
    """Follows rows through attention, whose first axis is the batch."""
    fact = call.input(0)
    call.keep_apart(fact, range(1, 64), "works across all rows")
    present = 1 if call.node.operator == "Attention" and call.node.domain else 0
    rest = fact.along(None if fact.axis is None else present, None)
    return [fact.along(fact.axis, None), *[rest] * (len(call.node.outputs) - 1)]


def follow_estimator(call: NodeInputs) -> list[Fact]:
    """Follows rows through a model of scikit-learn's, which takes a table of rows, or a single one."""
    fact = call.input(0)
    if fact.carries and fact.rank == 1:
        call.refuse("takes all rows for the features of one")
    call.keep_apart(fact, range(1, 64), "takes all rows for the features of one")
    table = fact.along(fact.axis, (fact.shape[0] if fact.shape else unknown(), unknown()))
    labels = fact.along(fact.axis, table.shape and table.shape[:1])
    is_classifier = call.node.operator.endswith("Classifier")
    return [labels if is_classifier else table, *[table] * (len(call.node.outputs) - 1)]


def follow_pick_features(call: NodeInputs) -> Fact:
    """Follows rows through `ArrayFeatureExtractor`, be they in the table or the indices."""
    data, picks = call.input(0), call.input(1)
    call.keep_apart(data, [-1] if data.shape else [], "picks some of all rows")
    if not picks.carries:
        return data.along(data.axis, with_length(data, -1, unknown()))
    if data.carries:
        return lost(call.inputs)
    before = (ONE,) if data.rank == 1 else (data.shape or ())[:-1]
    count = multiply(picks.shape) if picks.shape is not None else unknown()
    return Fact((*before, count), True, len(before) if data.shape is not None else None)


def follow_new_last_axis(call: NodeInputs) -> Fact:
    """Follows rows through what makes a list of each value."""
    fact = call.input(0)
    return fact.along(fact.axis, None if fact.shape is None else (*fact.shape, unknown()))


def follow_features(call: NodeInputs) -> Fact:
    """Follows rows through `FeatureVectorizer`."""
    axes = {fact.axis for fact in call.inputs if fact.carries}
    return Fact((unknown(), unknown()), bool(axes), 0 if axes == {0} else None)
