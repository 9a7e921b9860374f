"""Operators that make, tell or change shapes."""

from math import prod

from inferq.models.onnx_constant import Constant
from inferq.models.row_dependence.axis_lengths import ONE, ROWS, Length, divide, known, multiply, unknown
from inferq.models.row_dependence.elementwise import combine
from inferq.models.row_dependence.facts import NOTHING, Fact, Shape, drop, lost, with_length
from inferq.models.row_dependence.node_inputs import NodeInputs

_MOST_ELEMENTS = 256


def follow_shape_of(call: NodeInputs) -> Fact:
    """Tells the lengths that `Shape` gives."""
    shape = call.input(0).shape
    if shape is None:
        return Fact((unknown(),))
    start, end = call.integer("start", 0), call.integer("end", len(shape))
    content = shape[start:end]
    return Fact((known(len(content)),), content=content)


def follow_size_of(call: NodeInputs) -> Fact:
    """Tells the product that `Size` gives."""
    shape = call.input(0).shape
    return Fact((), content=None if shape is None else (multiply(shape),))


def describe_constant(constant: Constant) -> Fact:
    """What is known of a tensor in the file."""
    content = constant.elements
    if content is not None and not all(abs(element) < 2**63 for element in content):  # no NaN either
        content = None
    shape = tuple(map(known, constant.shape))
    return Fact(shape, content=None if content is None else tuple(map(known, content)))


def follow_constant(call: NodeInputs) -> Fact:
    """Tells what a `Constant` holds."""
    for name in ("value", "sparse_value"):
        attribute = call.find(name)
        if attribute is not None and attribute.constants:
            return describe_constant(attribute.constants[0])
    attribute = call.find("value_int")
    if attribute is not None:
        return Fact((), content=(known(attribute.integer),))
    integers = call.integers("value_ints")
    if integers is not None:
        return Fact((known(len(integers)),), content=tuple(map(known, integers)))
    return NOTHING


def follow_filled(call: NodeInputs) -> Fact:
    """Tells the shape, and the elements if they are few, that `ConstantOfShape` gives."""
    shape = call.input(0).content
    numbers = call.input(0).numbers
    attribute = call.find("value")
    value = attribute.constants[0].elements if attribute is not None and attribute.constants else (0,)
    if numbers is None or prod(numbers) > _MOST_ELEMENTS or value is None:
        return Fact(shape)
    return Fact(shape, content=tuple(map(known, value)) * prod(numbers))


def follow_range(call: NodeInputs) -> Fact:
    """Tells the length of a `Range`."""
    start, step = call.input(0).numbers, call.input(2).numbers
    limit = call.input(1).content
    length = limit[0] if limit and start == [0] and step == [1] else unknown()
    return Fact((length,), any(fact.carries for fact in call.inputs))


def follow_reshape(call: NodeInputs) -> Fact:
    """Follows rows through `Reshape`."""
    fact = call.input(0)
    shape = call.integers("shape")
    target = tuple(map(known, shape)) if shape is not None else call.input(1).content
    if target is None:
        rank = call.input(1).shape
        count = rank[0].number if rank else None
        return Fact(None if count is None else tuple(unknown() for _ in range(count)), fact.carries)
    if not call.integer("allowzero", 0):
        target = tuple(_copied(fact, place) if one.number == 0 else one for place, one in enumerate(target))
    return _reshaped(call, fact, target)


def _copied(fact: Fact, place: int) -> Length:
    if fact.shape is not None and place < len(fact.shape):
        return fact.shape[place]
    return ROWS if place == fact.axis == 0 else unknown()


def _reshaped(call: NodeInputs, fact: Fact, target: Shape) -> Fact:
    """The same values, row after row, in another shape, of which one length may be -1."""
    total = None if fact.shape is None else multiply(fact.shape)
    others = multiply(length for length in target if length.number != -1)
    rest = unknown() if total is None else divide(total, others)
    shape = tuple(rest if length.number == -1 else length for length in target)
    content = fact.content
    if not fact.carries:
        return Fact(shape, content=content)
    axes = [place for place, length in enumerate(shape) if length.has_rows]
    if total is None and not axes:  # most often the first axis stays what it is
        return fact.along(0 if fact.axis == 0 and target[:1] and target[0].number == -1 else None, shape)
    if len(axes) != 1:
        return fact.along(None, shape)
    [axis] = axes
    if fact.shape is not None and fact.axis is not None:
        before = divide(multiply(fact.shape[: fact.axis]), multiply(shape[:axis]))
        per_row = divide(shape[axis], ROWS)
        is_torn = _is_fraction(before) or _is_fraction(divide(per_row, before))
        if _is_fraction(per_row) or (is_torn and fact.shape[fact.axis] == ROWS):
            call.refuse("joins values of several rows")
    return fact.along(axis, shape)


def _is_fraction(length: Length) -> bool:
    return not length.powers and length.number is None


def follow_flatten(call: NodeInputs) -> Fact:
    """Follows rows through `Flatten`."""
    fact = call.input(0)
    axis = call.integer("axis", 1)
    if fact.shape is None:
        return fact.along(0 if fact.axis == 0 and axis > 0 else None, (unknown(), unknown()))
    axis = fact.counted(axis)
    return _reshaped(call, fact, (multiply(fact.shape[:axis]), multiply(fact.shape[axis:])))


def follow_squeeze(call: NodeInputs) -> Fact:
    """Follows rows through `Squeeze`."""
    fact, axes = call.input(0), call.axes(1)
    if axes == [] and fact.shape is not None:
        axes = [place for place, length in enumerate(fact.shape) if length == ONE]
    if not axes:
        return Fact(carries=fact.carries, axis=0 if fact.axis == 0 else None, content=fact.content)
    dropped = drop(fact, {fact.counted(axis) for axis in axes})
    return Fact(dropped.shape, dropped.carries, dropped.axis, fact.content)


def follow_unsqueeze(call: NodeInputs) -> Fact:
    """Follows rows through `Unsqueeze`."""
    fact, axes = call.input(0), call.axes(1)
    if axes is None:
        return lost(call.inputs)
    rank = None if fact.rank is None else fact.rank + len(axes)
    if rank is None:
        is_simple = all(axis > (fact.axis or 0) or axis == -1 for axis in axes)
        return fact.along(fact.axis if is_simple else None, None)
    new = {axis % rank if rank else 0 for axis in axes}
    old = [place for place in range(rank) if place not in new]
    lengths = iter(fact.shape or ())
    shape = tuple(ONE if place in new else next(lengths) for place in range(rank))
    return Fact(shape, fact.carries, None if fact.axis is None else old[fact.axis], fact.content)


def follow_transpose(call: NodeInputs) -> Fact:
    """Follows rows through `Transpose`."""
    fact, order = call.input(0), call.integers("perm")
    if order is None and fact.rank is not None:
        order = tuple(range(fact.rank))[::-1]
    if order is None or fact.rank not in (None, len(order)):
        return lost(call.inputs)
    shape = None if fact.shape is None else tuple(fact.shape[place] for place in order)
    return fact.along(None if fact.axis is None else order.index(fact.axis), shape)


def follow_expand(call: NodeInputs) -> Fact:
    """Follows rows through `Expand`."""
    fact, target = call.input(0), call.input(1).content
    if target is None:
        return lost(call.inputs)
    return combine(call, [fact, Fact(target)])


def follow_tile(call: NodeInputs) -> Fact:
    """Follows rows through `Tile`."""
    fact, repeats = call.input(0), call.input(1).content
    if repeats is None or fact.shape is None:
        return fact.along(fact.axis, None)
    if fact.axis is not None and repeats[fact.axis] != ONE:
        call.refuse("repeats all rows")
    return fact.along(fact.axis, tuple(map(multiply, zip(fact.shape, repeats, strict=True))))


def follow_resize(call: NodeInputs) -> Fact:
    """Follows rows through `Resize` and `Upsample`."""
    fact = call.input(0)
    scales = next((call.input(place).content for place in (2, 1) if call.has(place)), None)
    sizes = call.input(3).content
    shape = None if fact.shape is None else tuple(unknown() for _ in fact.shape)
    if call.integers("axes") or fact.axis is None or fact.shape is None:
        return fact.along(fact.axis, shape)
    if sizes is not None and len(sizes) == fact.rank:
        shape = sizes
        is_kept = sizes[fact.axis] == fact.shape[fact.axis]
    elif scales is not None and len(scales) == fact.rank:
        is_kept = scales[fact.axis] == ONE
    else:
        is_kept = fact.axis == 0 and len(fact.shape) > 2
    if not is_kept:
        call.refuse("resizes over all rows")
    return fact.along(fact.axis, with_length(Fact(shape), fact.axis, ROWS))
