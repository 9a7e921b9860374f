"""Operators that concatenate, split, slice, pad, gather and scatter."""

from collections.abc import Sequence

from inferq.models.row_dependence.abstract_values import (
    AbstractValue,
    forget_lengths,
    make_untracked,
    remove_axes,
    replace_length,
)
from inferq.models.row_dependence.axis_lengths import ROWS, Length, make_length, make_unknown_length, multiply
from inferq.models.row_dependence.elementwise import combine_elementwise
from inferq.models.row_dependence.traced_node import ALL_AXES, TracedNode

_TO_THE_END = 1_000_000
"""Exporters write at least this for the end of an axis."""


def follow_concat(node: TracedNode) -> AbstractValue:
    """Follows rows through `Concat`."""
    return _concatenate(node, node.inputs, node.integer("axis", 1))


def follow_qlinear_concat(node: TracedNode) -> AbstractValue:
    """Follows rows through `QLinearConcat`, whose inputs have a scale and a zero point each."""
    return _concatenate(node, node.inputs[2::3], node.integer("axis", 1))


def _concatenate(node: TracedNode, values: Sequence[AbstractValue], axis: int) -> AbstractValue:
    if len(values) == 1:
        return values[0]
    is_stack = all(
        value.row_axis is not None and value.row_axis == value.normalize_axis(axis) for value in values
    )
    for value in values:
        node.refuse_along(value, [] if is_stack else [axis], "joins rows with others")
    value = combine_elementwise(node, values)
    if is_stack:  # all rows of one value, then all of the next: a Reshape separates them again
        length = multiply([ROWS, make_length(len(values))])
        return value.with_shape(replace_length(value, axis, length))
    elements: tuple[Length, ...] | None = None
    if all(one.elements is not None for one in values):
        elements = tuple(element for one in values for element in one.elements or ())
    shape = value.shape
    if shape is not None:
        lengths = [
            one.shape[value.normalize_axis(axis)].number
            for one in values
            if one.rank == value.rank and one.shape
        ]
        is_known = len(lengths) == len(values) and None not in lengths
        length = make_length(sum(one or 0 for one in lengths)) if is_known else make_unknown_length()
        shape = replace_length(value, axis, length)
    return AbstractValue(shape, value.holds_rows, value.row_axis, None if value.holds_rows else elements)


def follow_split(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through `Split`."""
    value, axis, count = node.input(0), node.integer("axis", 0), len(node.outputs)
    if count == 1:
        return [value]
    node.refuse_along(value, [axis], "splits rows from others")
    parts = node.integers("split") or node.input(1).integers
    lengths = (
        [make_unknown_length()] * count
        if parts is None or len(parts) != count
        else list(map(make_length, parts))
    )
    return [value.with_shape(replace_length(value, axis, length)) for length in lengths]


def follow_slice(node: TracedNode) -> AbstractValue:
    """Follows rows through `Slice`."""
    value = node.input(0)
    starts, ends = _read_bounds(node, "starts", 1), _read_bounds(node, "ends", 2)
    axes = node.axes(3)
    steps = node.input(4).integers if node.has_input(4) else [1] * len(starts or ())
    if starts is None or ends is None or axes is None or steps is None:
        return forget_lengths(value)
    shape = list(value.shape) if value.shape is not None else None
    elements = value.elements if value.rank == 1 else None
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, steps, strict=False):
        position = value.normalize_axis(axis)
        is_whole = start.number == 0 and step == 1 and (end == ROWS or (end.number or 0) >= _TO_THE_END)
        if not is_whole:
            node.refuse_along(value, [axis], "takes some of all rows")
            if shape is not None and position < len(shape):
                shape[position] = make_unknown_length()
        if elements is not None:
            first, last = start.number, end.number
            elements = None if first is None or last is None else elements[first:last:step]
    if elements is not None:
        shape = [make_length(len(elements))]
    return AbstractValue(None if shape is None else tuple(shape), value.holds_rows, value.row_axis, elements)


def _read_bounds(node: TracedNode, name: str, index: int) -> tuple[Length, ...] | None:
    attribute = node.integers(name)
    return tuple(map(make_length, attribute)) if attribute is not None else node.input(index).elements


def follow_pad(node: TracedNode) -> AbstractValue:
    """Follows rows through `Pad`."""
    value = node.input(0)
    pads = node.integers("pads") or node.integers("paddings") or node.input(1).integers
    axes = node.axes(3)
    if pads is None or axes is None:
        return forget_lengths(value)
    count = len(pads) // 2
    padded = [
        axis
        for axis, before, after in zip(axes or range(count), pads[:count], pads[count:], strict=False)
        if before or after
    ]
    node.refuse_along(value, padded, "adds rows")
    changed = {value.normalize_axis(axis) for axis in padded}
    shape = value.shape and tuple(
        make_unknown_length() if axis in changed else length for axis, length in enumerate(value.shape)
    )
    return value.with_shape(shape)


def follow_center_crop_pad(node: TracedNode) -> AbstractValue:
    """Follows rows through `CenterCropPad`."""
    value = node.input(0)
    node.refuse_along(value, node.integers("axes") or ALL_AXES, "drops or adds rows")
    return forget_lengths(value)


def follow_one_hot(node: TracedNode) -> AbstractValue:
    """Follows rows through `OneHot`."""
    value, axis = node.input(0), node.integer("axis", -1)
    if value.shape is None:
        return value.with_row_axis(value.row_axis if axis == -1 else None, None)
    position = axis + value.rank + 1 if axis < 0 and value.rank is not None else axis
    shape = (*value.shape[:position], make_unknown_length(), *value.shape[position:])
    return value.with_row_axis(
        None if value.row_axis is None else value.row_axis + (position <= value.row_axis), shape
    )


def follow_gather(node: TracedNode) -> AbstractValue:
    """Follows rows through `Gather`, whether the data or the indices hold them."""
    data, indices, axis = node.input(0), node.input(1), node.integer("axis", 0)
    position = data.normalize_axis(axis)
    node.refuse_along(data, [axis], "picks some of all rows")
    if data.holds_rows and indices.holds_rows:
        node.refuse("picks for each row from all rows")
    shape = None
    if data.shape is not None and indices.shape is not None:
        shape = (*data.shape[:position], *indices.shape, *data.shape[position + 1 :])
    elements = None
    if data.elements is not None and data.rank == 1 and indices.integers is not None:
        size = len(data.elements)
        elements = tuple(
            data.elements[index] if -size <= index < size else make_unknown_length()
            for index in indices.integers
        )
    if indices.holds_rows:
        return indices.with_row_axis(
            None if indices.row_axis is None or position < 0 else position + indices.row_axis, shape
        )
    row_axis = data.row_axis
    if row_axis is not None and row_axis > position:
        row_axis = None if position < 0 or indices.rank is None else row_axis - 1 + indices.rank
    return AbstractValue(shape, data.holds_rows, row_axis, None if data.holds_rows else elements)


def follow_gather_elements(node: TracedNode) -> AbstractValue:
    """Follows rows through `GatherElements`."""
    data, indices, axis = node.input(0), node.input(1), node.integer("axis", 0)
    for value in (data, indices) if data.holds_rows else ():
        node.refuse_along(value, [axis], "picks from all rows")
    source = indices if indices.row_axis is not None else data
    return AbstractValue(indices.shape, data.holds_rows or indices.holds_rows, source.row_axis)


def follow_gather_nd(node: TracedNode) -> AbstractValue:
    """Follows rows through `GatherND`."""
    data, indices = node.input(0), node.input(1)
    is_inside = data.row_axis is not None and data.row_axis < node.integer("batch_dims", 0)
    if data.holds_rows:
        return data.with_shape(None) if is_inside else make_untracked(node.inputs)
    is_last = indices.rank is not None and indices.row_axis == indices.rank - 1
    return indices.with_row_axis(None if is_last else indices.row_axis, None)


def follow_scatter(node: TracedNode) -> AbstractValue:
    """Follows rows through `ScatterND` and its like, whose output has the shape of their first input."""
    data, indices = node.input(0), node.input(1)
    if node.operator != "ScatterND":
        for value in (data, indices, node.input(2)):
            node.refuse_along(value, [node.integer("axis", 0)], "puts values into other rows")
    elif indices.integers and not indices.holds_rows:  # the same for every run
        node.refuse_along(data, [0], "puts values into some of all rows")
    axes = [position for position, length in enumerate(data.shape or ()) if length.has_rows]
    axis = data.row_axis if data.holds_rows else axes[0] if len(axes) == 1 else None
    return AbstractValue(data.shape, any(value.holds_rows for value in node.inputs), axis)


def follow_compress(node: TracedNode) -> AbstractValue:
    """Follows rows through `Compress`."""
    value, axis = node.input(0), node.find("axis")
    axes = ALL_AXES if axis is None else [axis.integer]
    node.refuse_along(value, axes, "drops some of all rows", assume_first=True)
    return value.with_shape(replace_length(value, node.integer("axis", 0), make_unknown_length()))


def follow_reverse_sequence(node: TracedNode) -> AbstractValue:
    """Follows rows through `ReverseSequence`."""
    node.refuse_along(node.input(0), [node.integer("time_axis", 0)], "turns all rows around")
    return node.input(0)


def follow_sequence_construct(node: TracedNode) -> AbstractValue:
    """Follows rows through `SequenceConstruct`: a sequence is described as its tensors, where they agree."""
    axes = {value.row_axis for value in node.inputs if value.holds_rows}
    return AbstractValue(None, bool(axes), axes.pop() if len(axes) == 1 else None)


def follow_split_to_sequence(node: TracedNode) -> AbstractValue:
    """Follows rows through `SplitToSequence`."""
    value, axis = node.input(0), node.integer("axis", 0)
    node.refuse_along(value, [axis], "splits rows from others")
    keeps_axis = node.integer("keepdims", 1) or node.has_input(1)
    return value.with_shape(None) if keeps_axis else remove_axes(value, {value.normalize_axis(axis)})


def follow_concat_from_sequence(node: TracedNode) -> AbstractValue:
    """Follows rows through `ConcatFromSequence`."""
    value, axis = node.input(0), node.integer("axis", 0)
    if not node.integer("new_axis", 0):
        node.refuse_along(value, [axis], "joins rows with others")
        return value.with_shape(None)
    return value.with_row_axis(
        None if value.row_axis is None or axis < 0 else value.row_axis + (axis <= value.row_axis), None
    )
