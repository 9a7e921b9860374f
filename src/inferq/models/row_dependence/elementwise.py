"""Operators that work element by element, and those that need all elements."""

from collections.abc import Sequence
from typing import NoReturn

from inferq.models.row_dependence.abstract_values import (
    UNKNOWN,
    AbstractValue,
    broadcast_shapes,
    discard_elements,
    make_untracked,
)
from inferq.models.row_dependence.axis_lengths import (
    ONE,
    Length,
    divide,
    make_length,
    make_unknown_length,
    multiply,
)
from inferq.models.row_dependence.traced_node import Rule, TracedNode


def follow_unary(node: TracedNode) -> AbstractValue:
    """Follows rows through a function of each element; all inputs but the first are parameters."""
    value = node.input(0)
    return discard_elements(value) if value.holds_rows else make_untracked(node.inputs)


def follow_identity(node: TracedNode) -> AbstractValue:
    """Follows rows through an operator that changes no element."""
    return node.input(0)


def combine_elementwise(node: TracedNode, values: Sequence[AbstractValue]) -> AbstractValue:
    """Follows rows through an operation on several values, element by element, broadcast as by NumPy."""
    with_rows = [value for value in values if value.holds_rows]
    shapes = [value.shape for value in values if value.shape is not None]
    is_known = all(value.shape is not None for value in with_rows)
    shape = broadcast_shapes(shapes) if shapes and is_known else None
    axes = {value.broadcast_row_axis(shape) for value in with_rows} - {None}
    if len(axes) > 1 and shape is not None:
        node.refuse("combines rows with other rows")
    return AbstractValue(shape, bool(with_rows), axes.pop() if len(axes) == 1 else None)


def follow_broadcast(node: TracedNode) -> AbstractValue:
    """Follows rows through an operator on all its inputs, element by element."""
    return combine_elementwise(node, node.inputs)


def follow_arithmetic(node: TracedNode) -> AbstractValue:
    """Follows rows through arithmetic, or calculates with lengths."""
    value = follow_broadcast(node)
    if value.holds_rows:
        if any(element.has_rows for one in node.inputs for element in one.elements or ()):
            node.refuse("takes the number of rows into account")
        return value
    element_lists = [one.elements for one in node.inputs]
    size = max((len(elements) for elements in element_lists if elements is not None), default=0)
    columns = [
        elements * size if elements is not None and len(elements) == 1 else elements
        for elements in element_lists
    ]
    if any(column is None or len(column) != size for column in columns):
        return value
    rows = zip(*(column for column in columns if column is not None), strict=True)
    elements = tuple(_calculate(node.operator, elements) for elements in rows)
    return AbstractValue(value.shape, elements=elements)


def _calculate(operator: str, elements: Sequence[Length]) -> Length:
    if operator == "Mul":
        return multiply(elements)
    if operator == "Where":
        return (
            make_unknown_length() if elements[0].number is None else elements[1 if elements[0].number else 2]
        )
    first, second = elements[0], elements[1]
    if operator == "Div":
        quotient = divide(first, second)
        return quotient if quotient.powers or quotient.number is not None else make_unknown_length()
    if operator == "Equal":
        if first == second:
            return ONE
        return (
            make_length(0) if first.number is not None or second.number is not None else make_unknown_length()
        )
    if not first.powers and not second.powers and operator in ("Add", "Sub"):
        return make_length(float(first.factor + second.factor * (1 if operator == "Add" else -1)))
    if operator in ("Add", "Sub") and not second.factor:
        return first
    return make_unknown_length()


def refuse_random_numbers(node: TracedNode) -> NoReturn:
    """Refuses random numbers: those of a row depend on how many were drawn for the rows before."""
    node.refuse("draws random numbers for all rows in turn")


def follow_dropout(node: TracedNode) -> AbstractValue:
    """Follows rows through `Dropout`, which does nothing outside training."""
    if node.has_input(2) and node.input(2).integers != [0]:
        node.refuse("draws random numbers for all rows in turn")
    return node.input(0)


def make_refusal_rule(how: str) -> Rule:
    """Returns a rule that refuses rows in the first input, as the operator needs all of its elements."""

    def rule(node: TracedNode) -> AbstractValue:
        if node.input(0).holds_rows:
            node.refuse(how)
        return UNKNOWN

    return rule


def follow_string_normalizer(node: TracedNode) -> AbstractValue:
    """Follows rows through `StringNormalizer`."""
    value, stopwords = node.input(0), node.find("stopwords")
    if stopwords is not None and stopwords.strings and value.rank == 1:
        node.refuse_along(value, [0], "drops some of all rows")
    return value
