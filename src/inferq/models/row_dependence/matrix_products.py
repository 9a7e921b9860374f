"""Operators on matrices."""

from inferq.models.row_dependence.abstract_values import (
    AbstractValue,
    broadcast_shapes,
    discard_elements,
    make_untracked,
    replace_length,
)
from inferq.models.row_dependence.axis_lengths import make_unknown_length
from inferq.models.row_dependence.elementwise import combine_elementwise
from inferq.models.row_dependence.traced_node import Rule, TracedNode


def make_matmul_rule(a: int, b: int) -> Rule:
    """Returns the rule for a matrix product of two inputs, given by their indices."""

    def rule(node: TracedNode) -> AbstractValue:
        return _multiply_inputs(node, a, b)

    return rule


def _multiply_inputs(node: TracedNode, a: int, b: int) -> AbstractValue:
    left, right = _transpose(node, node.input(a), "transA"), _transpose(node, node.input(b), "transB")
    return _multiply_matrices(node, left, right)


def _transpose(node: TracedNode, value: AbstractValue, flag: str) -> AbstractValue:
    """Returns a factor, transposed if an attribute says so."""
    if not node.integer(flag, 0):
        return value
    if value.shape is None or value.rank is None or value.rank < 2:
        return make_untracked([value])
    last = value.rank - 1
    axis = (
        {last: last - 1, last - 1: last}.get(value.row_axis, value.row_axis)
        if value.row_axis is not None
        else None
    )
    return value.with_row_axis(axis, (*value.shape[:-2], value.shape[-1], value.shape[-2]))


def _multiply_matrices(node: TracedNode, left: AbstractValue, right: AbstractValue) -> AbstractValue:
    node.refuse_along(left, [-1] if left.shape else [], "sums over all rows")
    node.refuse_along(
        right, [-2 if (right.rank or 0) > 1 else -1] if right.shape else [], "sums over all rows"
    )
    if left.shape is None or right.shape is None or left.rank == 1 or right.rank == 1:
        if left.holds_rows and right.holds_rows and left.row_axis != right.row_axis:
            return make_untracked([left, right])
        source = left if left.holds_rows else right
        is_sure = source is left and source.row_axis == 0
        return source.with_row_axis(0 if is_sure else None, None)
    shape = (*broadcast_shapes([left.shape[:-2], right.shape[:-2]]), left.shape[-2], right.shape[-1])
    axes = {value.broadcast_row_axis(shape) for value in (left, right) if value.row_axis is not None}
    if len(axes) > 1:
        node.refuse("combines each row with every other")
    return AbstractValue(shape, left.holds_rows or right.holds_rows, axes.pop() if axes else None)


def follow_gemm(node: TracedNode) -> AbstractValue:
    """Follows rows through `Gemm`."""
    return combine_elementwise(node, [_multiply_inputs(node, 0, 1), node.input(2)])


def follow_packed_matmul(node: TracedNode) -> AbstractValue:
    """Follows rows through a product with packed weights, such as `MatMulNBits`."""
    value = node.input(0)
    node.refuse_along(value, [-1] if value.shape else [], "sums over all rows")
    return value.with_shape(replace_length(value, -1, make_unknown_length()))


def follow_einsum(node: TracedNode) -> AbstractValue:
    """Follows rows through `Einsum`; with dots in the equation, the row axis becomes unknown."""
    equation = node.text("equation", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    if "." in equation:
        return make_untracked(node.inputs)
    if not arrow:
        letters = sorted(set(terms) - {","})
        result = "".join(letter for letter in letters if terms.count(letter) == 1)
    positions = set()
    for value, term in zip(node.inputs, terms.split(","), strict=False):
        if value.row_axis is not None and value.row_axis < len(term):
            letter = term[value.row_axis]
            if letter not in result:
                node.refuse("sums over all rows")
            positions.add(result.index(letter))
    if len(positions) > 1:
        node.refuse("combines each row with every other")
    lengths = {
        letter: length
        for value, term in zip(node.inputs, terms.split(","), strict=False)
        for letter, length in zip(term, value.shape or (), strict=False)
    }
    shape = tuple(lengths.get(letter) or make_unknown_length() for letter in result)
    return AbstractValue(
        shape, any(value.holds_rows for value in node.inputs), positions.pop() if positions else None
    )


def follow_cdist(node: TracedNode) -> AbstractValue:
    """Follows rows through `CDist`, which compares each row of one table with each of another."""
    left, right = node.inputs[:2]
    if left.holds_rows and right.holds_rows:
        node.refuse("compares each row with every other")
    axis = None if left.row_axis is None and right.row_axis is None else 0 if left.holds_rows else 1
    return AbstractValue(
        (make_unknown_length(), make_unknown_length()), left.holds_rows or right.holds_rows, axis
    )


def follow_trilu(node: TracedNode) -> AbstractValue:
    """Follows rows through `Trilu`."""
    node.refuse_along(node.input(0), [-1, -2], "takes all rows for those of one matrix")
    return discard_elements(node.input(0))


def follow_det(node: TracedNode) -> AbstractValue:
    """Follows rows through `Det`."""
    value = follow_trilu(node)
    return value.with_shape(value.shape and value.shape[:-2])
