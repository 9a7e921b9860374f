"""Operators on matrices."""

from inferq.models.row_dependence.axis_lengths import unknown
from inferq.models.row_dependence.elementwise import combine
from inferq.models.row_dependence.facts import Fact, broadcast_shapes, lost, with_length, without_content
from inferq.models.row_dependence.node_inputs import NodeInputs, Rule


def multiply_at(a: int, b: int) -> Rule:
    """Returns the rule for a product of the inputs at two places."""

    def rule(call: NodeInputs) -> Fact:
        return _product(call, a, b)

    return rule


def _product(call: NodeInputs, a: int, b: int) -> Fact:
    left, right = _turned(call, call.input(a), "transA"), _turned(call, call.input(b), "transB")
    return _multiplied(call, left, right)


def _turned(call: NodeInputs, fact: Fact, flag: str) -> Fact:
    """A factor, transposed if an attribute says so."""
    if not call.integer(flag, 0):
        return fact
    if fact.shape is None or fact.rank is None or fact.rank < 2:
        return lost([fact])
    last = fact.rank - 1
    axis = {last: last - 1, last - 1: last}.get(fact.axis, fact.axis) if fact.axis is not None else None
    return fact.along(axis, (*fact.shape[:-2], fact.shape[-1], fact.shape[-2]))


def _multiplied(call: NodeInputs, left: Fact, right: Fact) -> Fact:
    call.keep_apart(left, [-1] if left.shape else [], "sums over all rows")
    call.keep_apart(right, [-2 if (right.rank or 0) > 1 else -1] if right.shape else [], "sums over all rows")
    if left.shape is None or right.shape is None or left.rank == 1 or right.rank == 1:
        if left.carries and right.carries and left.axis != right.axis:
            return lost([left, right])
        carrier = left if left.carries else right
        is_sure = carrier is left and carrier.axis == 0
        return carrier.along(0 if is_sure else None, None)
    shape = (*broadcast_shapes([left.shape[:-2], right.shape[:-2]]), left.shape[-2], right.shape[-1])
    axes = {fact.axis_in(shape) for fact in (left, right) if fact.axis is not None}
    if len(axes) > 1:
        call.refuse("combines each row with every other")
    return Fact(shape, left.carries or right.carries, axes.pop() if axes else None)


def follow_gemm(call: NodeInputs) -> Fact:
    """Follows rows through `Gemm`."""
    return combine(call, [_product(call, 0, 1), call.input(2)])


def follow_packed_weights(call: NodeInputs) -> Fact:
    """A product with weights in a form of their own."""
    fact = call.input(0)
    call.keep_apart(fact, [-1] if fact.shape else [], "sums over all rows")
    return fact.along(fact.axis, with_length(fact, -1, unknown()))


def follow_einsum(call: NodeInputs) -> Fact:
    """Follows rows through `Einsum`; they are lost sight of where it has dots."""
    equation = call.text("equation", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    if "." in equation:
        return lost(call.inputs)
    if not arrow:
        letters = sorted(set(terms) - {","})
        result = "".join(letter for letter in letters if terms.count(letter) == 1)
    places = set()
    for fact, term in zip(call.inputs, terms.split(","), strict=False):
        if fact.axis is not None and fact.axis < len(term):
            letter = term[fact.axis]
            if letter not in result:
                call.refuse("sums over all rows")
            places.add(result.index(letter))
    if len(places) > 1:
        call.refuse("combines each row with every other")
    lengths = {
        letter: length
        for fact, term in zip(call.inputs, terms.split(","), strict=False)
        for letter, length in zip(term, fact.shape or (), strict=False)
    }
    shape = tuple(lengths.get(letter) or unknown() for letter in result)
    return Fact(shape, any(fact.carries for fact in call.inputs), places.pop() if places else None)


def follow_distances(call: NodeInputs) -> Fact:
    """Follows rows through `CDist`, which compares each row of one table with each of another."""
    left, right = call.inputs[:2]
    if left.carries and right.carries:
        call.refuse("compares each row with every other")
    axis = None if left.axis is None and right.axis is None else 0 if left.carries else 1
    return Fact((unknown(), unknown()), left.carries or right.carries, axis)


def follow_triangle(call: NodeInputs) -> Fact:
    """Follows rows through `Trilu`."""
    call.keep_apart(call.input(0), [-1, -2], "takes all rows for those of one matrix")
    return without_content(call.input(0))


def follow_determinant(call: NodeInputs) -> Fact:
    """Follows rows through `Det`."""
    fact = follow_triangle(call)
    return fact.along(fact.axis, fact.shape and fact.shape[:-2])
