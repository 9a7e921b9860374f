"""Operators that reduce, normalize, accumulate or sort along axes."""

from collections.abc import Sequence

from inferq.models.row_dependence.axis_lengths import ONE, unknown
from inferq.models.row_dependence.facts import NOTHING, Fact, drop, lost, with_length, without_content
from inferq.models.row_dependence.node_inputs import ALL_AXES, NodeInputs, Rule


def follow_reduce(call: NodeInputs) -> Fact:
    """Follows rows through `ReduceSum` and its like."""
    fact, axes = call.input(0), call.axes(1)
    if axes == [] and call.integer("noop_with_empty_axes", 0):
        return without_content(fact)
    if axes is None:
        return lost(call.inputs)
    return _remove(call, fact, axes or ALL_AXES, "takes all rows together")


def follow_arg(call: NodeInputs) -> Fact:
    """Follows rows through `ArgMax` and `ArgMin`."""
    return _remove(call, call.input(0), [call.integer("axis", 0)], "compares all rows")


def _remove(call: NodeInputs, fact: Fact, axes: Sequence[int], how: str) -> Fact:
    """What is left when axes are made one value, or dropped."""
    call.keep_apart(fact, axes, how, guess=True)
    gone = {fact.counted(axis) for axis in axes}
    if call.integer("keepdims", 1):
        shape = fact.shape and tuple(ONE if place in gone else one for place, one in enumerate(fact.shape))
        return fact.along(fact.axis, shape)
    if axes is ALL_AXES:
        return Fact((), fact.carries)
    return drop(fact, gone)


def follow_softmax(call: NodeInputs) -> Fact:
    """Follows rows through `Softmax` and its like."""
    fact = call.input(0)
    if call.version < 13 and not call.node.domain:  # it took all axes from this one on for one
        axis = fact.counted(call.integer("axis", 1))
        call.keep_apart(fact, range(axis, 64), "normalizes over all rows", guess=True)
    else:
        call.keep_apart(fact, [call.integer("axis", -1)], "normalizes over all rows", guess=True)
    return fact


def keep_along_axis(how: str, default: int) -> Rule:
    """What happens along one axis, whose values stay where they are."""

    def rule(call: NodeInputs) -> Fact:
        fact = call.input(0)
        call.keep_apart(fact, [call.integer("axis", default)], how, guess=True)
        return without_content(fact)

    return rule


def follow_norm(call: NodeInputs) -> list[Fact]:
    """A norm over all axes from one on; further outputs are statistics of the same rows."""
    fact = call.input(0)
    axis = fact.counted(call.integer("axis", -1))
    call.keep_apart(fact, range(axis, 64) if axis >= 0 else [axis], "normalizes over all rows", guess=True)
    return [fact] * len(call.node.outputs)


def follow_mean_variance(call: NodeInputs) -> Fact:
    """Follows rows through `MeanVarianceNormalization`."""
    axes = call.integers("axes") or (0, 2, 3)
    call.keep_apart(call.input(0), axes, "normalizes over all rows", guess=True)
    return call.input(0)


def follow_cumulative(call: NodeInputs) -> Fact:
    """Follows rows through `CumSum`."""
    fact, axis = call.input(0), call.input(1).numbers
    if axis is None:
        axis = [0] if fact.rank == 1 else []
    call.keep_apart(fact, axis, "sums rows up one after another", guess=True)
    return fact


def follow_top(call: NodeInputs) -> Fact:
    """Follows rows through `TopK`."""
    fact, axis = call.input(0), call.integer("axis", -1)
    call.keep_apart(fact, [axis], "sorts all rows", guess=True)
    return fact.along(fact.axis, with_length(fact, axis, unknown()))


def follow_trained(call: NodeInputs) -> list[Fact]:
    """Follows rows through `BatchNormalization`, which takes no statistics outside training."""
    if call.input(0).carries and call.integer("training_mode", 0):
        call.refuse("takes its statistics from all rows")
    return [without_content(call.input(0)), *[NOTHING] * (len(call.node.outputs) - 1)]


def follow_loss(call: NodeInputs) -> Fact:
    """Follows rows through a loss."""
    fact = call.input(0)
    if fact.carries and call.text("reduction", "mean") != "none":
        call.refuse("takes all rows together")
    return fact.along(fact.axis, None)


def follow_fourier(call: NodeInputs) -> Fact:
    """Follows rows through `DFT`."""
    fact, axis = call.input(0), [call.integer("axis", 1)] if call.version < 20 else call.input(2).numbers
    call.keep_apart(fact, [-2] if axis is None else axis, "transforms all rows together")
    return fact.along(fact.axis, None if fact.shape is None else tuple(unknown() for _ in fact.shape))
