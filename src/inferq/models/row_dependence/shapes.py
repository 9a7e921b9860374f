"""Operators that return, create or change shapes, and constants."""

from math import prod

from inferq.models.onnx_files.onnx_constant import Constant
from inferq.models.row_dependence.abstract_values import (
    UNKNOWN,
    AbstractValue,
    Shape,
    make_untracked,
    remove_axes,
    replace_length,
)
from inferq.models.row_dependence.axis_lengths import (
    ONE,
    ROWS,
    Length,
    divide,
    make_length,
    make_unknown_length,
    multiply,
)
from inferq.models.row_dependence.elementwise import combine_elementwise
from inferq.models.row_dependence.traced_node import TracedNode

_MOST_ELEMENTS = 256


def follow_shape(node: TracedNode) -> AbstractValue:
    """Returns the lengths that `Shape` gives."""
    shape = node.input(0).shape
    if shape is None:
        return AbstractValue((make_unknown_length(),))
    start, end = node.integer("start", 0), node.integer("end", len(shape))
    elements = shape[start:end]
    return AbstractValue((make_length(len(elements)),), elements=elements)


def follow_size(node: TracedNode) -> AbstractValue:
    """Returns the product of the lengths, as `Size` gives it."""
    shape = node.input(0).shape
    return AbstractValue((), elements=None if shape is None else (multiply(shape),))


def describe_constant(constant: Constant) -> AbstractValue:
    """Returns what is known of a tensor in the file."""
    elements = constant.elements
    if elements is not None and not all(abs(element) < 2**63 for element in elements):  # no NaN either
        elements = None
    shape = tuple(map(make_length, constant.shape))
    return AbstractValue(shape, elements=None if elements is None else tuple(map(make_length, elements)))


def follow_constant(node: TracedNode) -> AbstractValue:
    """Returns what is known of a `Constant`."""
    for name in ("value", "sparse_value"):
        attribute = node.find(name)
        if attribute is not None and attribute.constants:
            return describe_constant(attribute.constants[0])
    attribute = node.find("value_int")
    if attribute is not None:
        return AbstractValue((), elements=(make_length(attribute.integer),))
    integers = node.integers("value_ints")
    if integers is not None:
        return AbstractValue((make_length(len(integers)),), elements=tuple(map(make_length, integers)))
    return UNKNOWN


def follow_constant_of_shape(node: TracedNode) -> AbstractValue:
    """Returns the shape, and the elements if they are few, of a `ConstantOfShape`."""
    shape = node.input(0).elements
    integers = node.input(0).integers
    attribute = node.find("value")
    value = attribute.constants[0].elements if attribute is not None and attribute.constants else (0,)
    if integers is None or prod(integers) > _MOST_ELEMENTS or value is None:
        return AbstractValue(shape)
    return AbstractValue(shape, elements=tuple(map(make_length, value)) * prod(integers))


def follow_range(node: TracedNode) -> AbstractValue:
    """Returns the length of a `Range`."""
    start, step = node.input(0).integers, node.input(2).integers
    limit = node.input(1).elements
    length = limit[0] if limit and start == [0] and step == [1] else make_unknown_length()
    return AbstractValue((length,), any(value.holds_rows for value in node.inputs))


def follow_reshape(node: TracedNode) -> AbstractValue:
    """Follows rows through `Reshape`."""
    value = node.input(0)
    shape = node.integers("shape")
    target = tuple(map(make_length, shape)) if shape is not None else node.input(1).elements
    if target is None:
        rank = node.input(1).shape
        count = rank[0].number if rank else None
        return AbstractValue(
            None if count is None else tuple(make_unknown_length() for _ in range(count)), value.holds_rows
        )
    if not node.integer("allowzero", 0):
        target = tuple(
            _copy_length(value, axis) if length.number == 0 else length for axis, length in enumerate(target)
        )
    return _reshape(node, value, target)


def _copy_length(value: AbstractValue, position: int) -> Length:
    if value.shape is not None and position < len(value.shape):
        return value.shape[position]
    return ROWS if position == value.row_axis == 0 else make_unknown_length()


def _reshape(node: TracedNode, value: AbstractValue, target: Shape) -> AbstractValue:
    """Follows rows into another shape, one length of which may be -1; the order of the elements stays."""
    total = None if value.shape is None else multiply(value.shape)
    others = multiply(length for length in target if length.number != -1)
    rest = make_unknown_length() if total is None else divide(total, others)
    shape = tuple(rest if length.number == -1 else length for length in target)
    elements = value.elements
    if not value.holds_rows:
        return AbstractValue(shape, elements=elements)
    axes = [position for position, length in enumerate(shape) if length.has_rows]
    if total is None and not axes:  # in most cases the first axis stays as it is
        return value.with_row_axis(
            0 if value.row_axis == 0 and target[:1] and target[0].number == -1 else None, shape
        )
    if len(axes) != 1:
        return value.with_row_axis(None, shape)
    [axis] = axes
    if value.shape is not None and value.row_axis is not None:
        before = divide(multiply(value.shape[: value.row_axis]), multiply(shape[:axis]))
        per_row = divide(shape[axis], ROWS)
        splits_rows = _is_fraction(before) or _is_fraction(divide(per_row, before))
        if _is_fraction(per_row) or (splits_rows and value.shape[value.row_axis] == ROWS):
            node.refuse("joins values of several rows")
    return value.with_row_axis(axis, shape)


def _is_fraction(length: Length) -> bool:
    return not length.powers and length.number is None


def follow_flatten(node: TracedNode) -> AbstractValue:
    """Follows rows through `Flatten`."""
    value = node.input(0)
    axis = node.integer("axis", 1)
    if value.shape is None:
        return value.with_row_axis(
            0 if value.row_axis == 0 and axis > 0 else None, (make_unknown_length(), make_unknown_length())
        )
    axis = value.normalize_axis(axis)
    return _reshape(node, value, (multiply(value.shape[:axis]), multiply(value.shape[axis:])))


def follow_squeeze(node: TracedNode) -> AbstractValue:
    """Follows rows through `Squeeze`."""
    value, axes = node.input(0), node.axes(1)
    if axes == [] and value.shape is not None:
        axes = [position for position, length in enumerate(value.shape) if length == ONE]
    if not axes:
        return AbstractValue(
            holds_rows=value.holds_rows, row_axis=0 if value.row_axis == 0 else None, elements=value.elements
        )
    squeezed = remove_axes(value, {value.normalize_axis(axis) for axis in axes})
    return AbstractValue(squeezed.shape, squeezed.holds_rows, squeezed.row_axis, value.elements)


def follow_unsqueeze(node: TracedNode) -> AbstractValue:
    """Follows rows through `Unsqueeze`."""
    value, axes = node.input(0), node.axes(1)
    if axes is None:
        return make_untracked(node.inputs)
    rank = None if value.rank is None else value.rank + len(axes)
    if rank is None:
        keeps_axis = all(axis > (value.row_axis or 0) or axis == -1 for axis in axes)
        return value.with_row_axis(value.row_axis if keeps_axis else None, None)
    new = {axis % rank if rank else 0 for axis in axes}
    old = [position for position in range(rank) if position not in new]
    lengths = iter(value.shape or ())
    shape = tuple(ONE if position in new else next(lengths) for position in range(rank))
    return AbstractValue(
        shape, value.holds_rows, None if value.row_axis is None else old[value.row_axis], value.elements
    )


def follow_transpose(node: TracedNode) -> AbstractValue:
    """Follows rows through `Transpose`."""
    value, order = node.input(0), node.integers("perm")
    if order is None and value.rank is not None:
        order = tuple(range(value.rank))[::-1]
    if order is None or value.rank not in (None, len(order)):
        return make_untracked(node.inputs)
    shape = None if value.shape is None else tuple(value.shape[position] for position in order)
    return value.with_row_axis(None if value.row_axis is None else order.index(value.row_axis), shape)


def follow_expand(node: TracedNode) -> AbstractValue:
    """Follows rows through `Expand`."""
    value, target = node.input(0), node.input(1).elements
    if target is None:
        return make_untracked(node.inputs)
    return combine_elementwise(node, [value, AbstractValue(target)])


def follow_tile(node: TracedNode) -> AbstractValue:
    """Follows rows through `Tile`."""
    value, repeats = node.input(0), node.input(1).elements
    if repeats is None or value.shape is None:
        return value.with_shape(None)
    if value.row_axis is not None and repeats[value.row_axis] != ONE:
        node.refuse("repeats all rows")
    return value.with_shape(tuple(map(multiply, zip(value.shape, repeats, strict=True))))


def follow_resize(node: TracedNode) -> AbstractValue:
    """Follows rows through `Resize` and `Upsample`."""
    value = node.input(0)
    scales = next((node.input(index).elements for index in (2, 1) if node.has_input(index)), None)
    sizes = node.input(3).elements
    shape = None if value.shape is None else tuple(make_unknown_length() for _ in value.shape)
    if node.integers("axes") or value.row_axis is None or value.shape is None:
        return value.with_shape(shape)
    if sizes is not None and len(sizes) == value.rank:
        shape = sizes
        keeps_rows = sizes[value.row_axis] == value.shape[value.row_axis]
    elif scales is not None and len(scales) == value.rank:
        keeps_rows = scales[value.row_axis] == ONE
    else:
        keeps_rows = value.row_axis == 0 and len(value.shape) > 2
    if not keeps_rows:
        node.refuse("resizes over all rows")
    return value.with_shape(replace_length(AbstractValue(shape), value.row_axis, ROWS))
