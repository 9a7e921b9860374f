"""Operators that join values, take them apart, pick or place them."""

from collections.abc import Sequence

from inferq.models.row_dependence.axis_lengths import ROWS, Length, known, multiply, unknown
from inferq.models.row_dependence.elementwise import combine
from inferq.models.row_dependence.facts import Fact, drop, lost, with_length
from inferq.models.row_dependence.node_inputs import ALL_AXES, NodeInputs

_TO_THE_END = 1_000_000
"""What exporters write for the end of an axis is at least this."""


def follow_concat(call: NodeInputs) -> Fact:
    """Follows rows through `Concat`."""
    return _joined(call, call.inputs, call.integer("axis", 1))


def follow_quantized_concat(call: NodeInputs) -> Fact:
    """Follows rows through `QLinearConcat`, whose inputs have a scale and a zero point each."""
    return _joined(call, call.inputs[2::3], call.integer("axis", 1))


def _joined(call: NodeInputs, facts: Sequence[Fact], axis: int) -> Fact:
    if len(facts) == 1:
        return facts[0]
    is_stack = all(fact.axis is not None and fact.axis == fact.counted(axis) for fact in facts)
    for fact in facts:
        call.keep_apart(fact, [] if is_stack else [axis], "joins rows with others")
    fact = combine(call, [Fact(one.shape, one.carries, one.axis) for one in facts])
    if is_stack:  # all rows of one, then all of the next: a Reshape tells them apart again
        length = multiply([ROWS, known(len(facts))])
        return fact.along(fact.axis, with_length(fact, axis, length))
    contents = [one.content for one in facts]
    content = None if None in contents else tuple(element for one in contents for element in one or ())
    shape = fact.shape
    if shape is not None:
        lengths = [
            one.shape[fact.counted(axis)].number for one in facts if one.rank == fact.rank and one.shape
        ]
        is_known = len(lengths) == len(facts) and None not in lengths
        length = known(sum(one or 0 for one in lengths)) if is_known else unknown()
        shape = with_length(fact, axis, length)
    return Fact(shape, fact.carries, fact.axis, None if fact.carries else content)


def follow_split(call: NodeInputs) -> list[Fact]:
    """Follows rows through `Split`."""
    fact, axis, count = call.input(0), call.integer("axis", 0), len(call.node.outputs)
    if count == 1:
        return [fact]
    call.keep_apart(fact, [axis], "splits rows from others")
    parts = call.integers("split") or call.input(1).numbers
    lengths = [unknown()] * count if parts is None or len(parts) != count else list(map(known, parts))
    return [fact.along(fact.axis, with_length(fact, axis, length)) for length in lengths]


def follow_slice(call: NodeInputs) -> Fact:
    """Follows rows through `Slice`."""
    fact = call.input(0)
    starts, ends = _bounds(call, "starts", 1), _bounds(call, "ends", 2)
    axes = call.axes(3)
    steps = call.input(4).numbers if call.has(4) else [1] * len(starts or ())
    if starts is None or ends is None or axes is None or steps is None:
        return fact.along(fact.axis, None if fact.shape is None else tuple(unknown() for _ in fact.shape))
    shape = list(fact.shape) if fact.shape is not None else None
    content = fact.content if fact.rank == 1 else None
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, steps, strict=False):
        place = fact.counted(axis)
        is_whole = start.number == 0 and step == 1 and (end == ROWS or (end.number or 0) >= _TO_THE_END)
        if not is_whole:
            call.keep_apart(fact, [axis], "takes some of all rows")
            if shape is not None and place < len(shape):
                shape[place] = unknown()
        if content is not None:
            first, last = start.number, end.number
            content = None if first is None or last is None else content[first:last:step]
    if content is not None:
        shape = [known(len(content))]
    return Fact(None if shape is None else tuple(shape), fact.carries, fact.axis, content)


def _bounds(call: NodeInputs, name: str, place: int) -> tuple[Length, ...] | None:
    attribute = call.integers(name)
    return tuple(map(known, attribute)) if attribute is not None else call.input(place).content


def follow_pad(call: NodeInputs) -> Fact:
    """Follows rows through `Pad`."""
    fact = call.input(0)
    pads = call.integers("pads") or call.integers("paddings") or call.input(1).numbers
    axes = call.axes(3)
    if pads is None or axes is None:
        return fact.along(fact.axis, None if fact.shape is None else tuple(unknown() for _ in fact.shape))
    count = len(pads) // 2
    padded = [
        axis
        for axis, before, after in zip(axes or range(count), pads[:count], pads[count:], strict=False)
        if before or after
    ]
    call.keep_apart(fact, padded, "adds rows")
    places = {fact.counted(axis) for axis in padded}
    shape = fact.shape and tuple(unknown() if at in places else one for at, one in enumerate(fact.shape))
    return fact.along(fact.axis, shape)


def follow_crop(call: NodeInputs) -> Fact:
    """Follows rows through `CenterCropPad`."""
    fact = call.input(0)
    call.keep_apart(fact, call.integers("axes") or ALL_AXES, "drops or adds rows")
    return fact.along(fact.axis, None if fact.shape is None else tuple(unknown() for _ in fact.shape))


def follow_one_hot(call: NodeInputs) -> Fact:
    """Follows rows through `OneHot`."""
    fact, axis = call.input(0), call.integer("axis", -1)
    if fact.shape is None:
        return fact.along(fact.axis if axis == -1 else None, None)
    place = axis + fact.rank + 1 if axis < 0 and fact.rank is not None else axis
    shape = (*fact.shape[:place], unknown(), *fact.shape[place:])
    return fact.along(None if fact.axis is None else fact.axis + (place <= fact.axis), shape)


def follow_gather(call: NodeInputs) -> Fact:
    """Follows rows through `Gather`, be they in the table or the indices."""
    data, picks, axis = call.input(0), call.input(1), call.integer("axis", 0)
    place = data.counted(axis)
    call.keep_apart(data, [axis], "picks some of all rows")
    if data.carries and picks.carries:
        call.refuse("picks for each row from all rows")
    shape = None
    if data.shape is not None and picks.shape is not None:
        shape = (*data.shape[:place], *picks.shape, *data.shape[place + 1 :])
    content = None
    if data.content is not None and data.rank == 1 and picks.numbers is not None:
        size = len(data.content)
        content = tuple(data.content[pick] if -size <= pick < size else unknown() for pick in picks.numbers)
    if picks.carries:
        return picks.along(None if picks.axis is None or place < 0 else place + picks.axis, shape)
    at = data.axis
    if at is not None and at > place:
        at = None if place < 0 or picks.rank is None else at - 1 + picks.rank
    return Fact(shape, data.carries, at, None if data.carries else content)


def follow_gather_elements(call: NodeInputs) -> Fact:
    """Follows rows through `GatherElements`."""
    data, picks, axis = call.input(0), call.input(1), call.integer("axis", 0)
    for fact in (data, picks) if data.carries else ():
        call.keep_apart(fact, [axis], "picks from all rows")
    carrier = picks if picks.axis is not None else data
    return Fact(picks.shape, data.carries or picks.carries, carrier.axis)


def follow_gather_nd(call: NodeInputs) -> Fact:
    """Follows rows through `GatherND`."""
    data, picks = call.input(0), call.input(1)
    is_inside = data.axis is not None and data.axis < call.integer("batch_dims", 0)
    if data.carries:
        return data.along(data.axis, None) if is_inside else lost(call.inputs)
    is_last = picks.rank is not None and picks.axis == picks.rank - 1
    return picks.along(None if is_last else picks.axis, None)


def follow_scatter(call: NodeInputs) -> Fact:
    """Puts values into places of the first input, which for rows of their own keep their places."""
    data, where = call.input(0), call.input(1)
    if call.node.operator != "ScatterND":
        for fact in (data, where, call.input(2)):
            call.keep_apart(fact, [call.integer("axis", 0)], "puts values into other rows")
    elif where.numbers and not where.carries:  # places that the file gives
        call.keep_apart(data, [0], "puts values into some of all rows")
    axes = [place for place, length in enumerate(data.shape or ()) if length.has_rows]
    axis = data.axis if data.carries else axes[0] if len(axes) == 1 else None
    return Fact(data.shape, any(fact.carries for fact in call.inputs), axis)


def follow_compress(call: NodeInputs) -> Fact:
    """Follows rows through `Compress`."""
    fact, axis = call.input(0), call.find("axis")
    axes = ALL_AXES if axis is None else [axis.integer]
    call.keep_apart(fact, axes, "drops some of all rows", guess=True)
    return fact.along(fact.axis, with_length(fact, call.integer("axis", 0), unknown()))


def follow_reverse(call: NodeInputs) -> Fact:
    """Follows rows through `ReverseSequence`."""
    call.keep_apart(call.input(0), [call.integer("time_axis", 0)], "turns all rows around")
    return call.input(0)


def follow_sequence(call: NodeInputs) -> Fact:
    """A sequence is described as its tensors are, where they are alike."""
    axes = {fact.axis for fact in call.inputs if fact.carries}
    return Fact(None, bool(axes), axes.pop() if len(axes) == 1 else None)


def follow_split_to_sequence(call: NodeInputs) -> Fact:
    """Follows rows through `SplitToSequence`."""
    fact, axis = call.input(0), call.integer("axis", 0)
    call.keep_apart(fact, [axis], "splits rows from others")
    keeps = call.integer("keepdims", 1) or call.has(1)
    return fact.along(fact.axis, None) if keeps else drop(fact, {fact.counted(axis)})


def follow_concat_from_sequence(call: NodeInputs) -> Fact:
    """Follows rows through `ConcatFromSequence`."""
    fact, axis = call.input(0), call.integer("axis", 0)
    if not call.integer("new_axis", 0):
        call.keep_apart(fact, [axis], "joins rows with others")
        return fact.along(fact.axis, None)
    return fact.along(None if fact.axis is None or axis < 0 else fact.axis + (axis <= fact.axis), None)
