"""Operators that reduce, normalize, accumulate or sort along axes."""

from collections.abc import Sequence

from inferq.models.row_dependence.abstract_values import (
    UNKNOWN,
    AbstractValue,
    discard_elements,
    forget_lengths,
    make_untracked,
    remove_axes,
    replace_length,
)
from inferq.models.row_dependence.axis_lengths import ONE, make_unknown_length
from inferq.models.row_dependence.traced_node import ALL_AXES, Rule, TracedNode


def follow_reduce(node: TracedNode) -> AbstractValue:
    """Follows rows through `ReduceSum` and its like."""
    value, axes = node.input(0), node.axes(1)
    if axes == [] and node.integer("noop_with_empty_axes", 0):
        return discard_elements(value)
    if axes is None:
        return make_untracked(node.inputs)
    return _reduce_axes(node, value, axes or ALL_AXES, "takes all rows together")


def follow_arg_max(node: TracedNode) -> AbstractValue:
    """Follows rows through `ArgMax` and `ArgMin`."""
    return _reduce_axes(node, node.input(0), [node.integer("axis", 0)], "compares all rows")


def _reduce_axes(node: TracedNode, value: AbstractValue, axes: Sequence[int], how: str) -> AbstractValue:
    """Follows rows through a reduction of some axes, which are kept with length 1, or removed."""
    node.refuse_along(value, axes, how, assume_first=True)
    removed = {value.normalize_axis(axis) for axis in axes}
    if node.integer("keepdims", 1):
        shape = value.shape and tuple(
            ONE if position in removed else one for position, one in enumerate(value.shape)
        )
        return value.with_shape(shape)
    if axes is ALL_AXES:
        return AbstractValue((), value.holds_rows)
    return remove_axes(value, removed)


def follow_softmax(node: TracedNode) -> AbstractValue:
    """Follows rows through `Softmax` and its like."""
    value = node.input(0)
    if node.version < 13 and not node.domain:  # it flattened all axes from this one on
        axis = value.normalize_axis(node.integer("axis", 1))
        node.refuse_along(value, range(axis, 64), "normalizes over all rows", assume_first=True)
    else:
        node.refuse_along(value, [node.integer("axis", -1)], "normalizes over all rows", assume_first=True)
    return value


def make_axis_rule(how: str, default: int) -> Rule:
    """Returns a rule for an operator that works along one axis and keeps the shape."""

    def rule(node: TracedNode) -> AbstractValue:
        value = node.input(0)
        node.refuse_along(value, [node.integer("axis", default)], how, assume_first=True)
        return discard_elements(value)

    return rule


def follow_layer_normalization(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through a norm over all axes from one on; further outputs are statistics of each row."""
    value = node.input(0)
    axis = value.normalize_axis(node.integer("axis", -1))
    node.refuse_along(
        value, range(axis, 64) if axis >= 0 else [axis], "normalizes over all rows", assume_first=True
    )
    return [value] * len(node.outputs)


def follow_mean_variance_normalization(node: TracedNode) -> AbstractValue:
    """Follows rows through `MeanVarianceNormalization`."""
    axes = node.integers("axes") or (0, 2, 3)
    node.refuse_along(node.input(0), axes, "normalizes over all rows", assume_first=True)
    return node.input(0)


def follow_cumulative_sum(node: TracedNode) -> AbstractValue:
    """Follows rows through `CumSum`."""
    value, axis = node.input(0), node.input(1).integers
    if axis is None:
        axis = [0] if value.rank == 1 else []
    node.refuse_along(value, axis, "sums rows up one after another", assume_first=True)
    return value


def follow_top_k(node: TracedNode) -> AbstractValue:
    """Follows rows through `TopK`."""
    value, axis = node.input(0), node.integer("axis", -1)
    node.refuse_along(value, [axis], "sorts all rows", assume_first=True)
    return value.with_shape(replace_length(value, axis, make_unknown_length()))


def follow_batch_normalization(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through `BatchNormalization`, which computes no statistics outside training."""
    if node.input(0).holds_rows and node.integer("training_mode", 0):
        node.refuse("takes its statistics from all rows")
    return [discard_elements(node.input(0)), *[UNKNOWN] * (len(node.outputs) - 1)]


def follow_loss(node: TracedNode) -> AbstractValue:
    """Follows rows through a loss."""
    value = node.input(0)
    if value.holds_rows and node.text("reduction", "mean") != "none":
        node.refuse("takes all rows together")
    return value.with_shape(None)


def follow_dft(node: TracedNode) -> AbstractValue:
    """Follows rows through `DFT`."""
    value, axis = node.input(0), [node.integer("axis", 1)] if node.version < 20 else node.input(2).integers
    node.refuse_along(value, [-2] if axis is None else axis, "transforms all rows together")
    return forget_lengths(value)
