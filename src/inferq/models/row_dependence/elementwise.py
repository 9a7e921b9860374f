"""Operators that work value by value, and those that look at all values."""

from collections.abc import Sequence
from typing import NoReturn

from inferq.models.row_dependence.axis_lengths import ONE, Length, divide, known, multiply, unknown
from inferq.models.row_dependence.facts import NOTHING, Fact, broadcast_shapes, lost, without_content
from inferq.models.row_dependence.node_inputs import NodeInputs, Rule


def follow_first(call: NodeInputs) -> Fact:
    """Each value by itself; whatever else goes in are parameters."""
    fact = call.input(0)
    return without_content(fact) if fact.carries else lost(call.inputs)


def follow_same(call: NodeInputs) -> Fact:
    """Follows rows through what leaves every value and its place as they are."""
    return call.input(0)


def combine(call: NodeInputs, facts: Sequence[Fact]) -> Fact:
    """Value by value, as NumPy broadcasts them."""
    carriers = [fact for fact in facts if fact.carries]
    shapes = [fact.shape for fact in facts if fact.shape is not None]
    is_known = all(fact.shape is not None for fact in carriers)
    shape = broadcast_shapes(shapes) if shapes and is_known else None
    axes = {fact.axis_in(shape) for fact in carriers} - {None}
    if len(axes) > 1 and shape is not None:
        call.refuse("combines rows with other rows")
    return Fact(shape, bool(carriers), axes.pop() if len(axes) == 1 else None)


def follow_broadcast(call: NodeInputs) -> Fact:
    """Follows rows through an operator that takes its inputs value by value."""
    return combine(call, call.inputs)


def follow_arithmetic(call: NodeInputs) -> Fact:
    """Follows rows, or calculates with lengths, value by value."""
    fact = follow_broadcast(call)
    if fact.carries:
        if any(element.has_rows for one in call.inputs for element in one.content or ()):
            call.refuse("takes the number of rows into account")
        return fact
    contents = [one.content for one in call.inputs]
    size = max((len(content) for content in contents if content is not None), default=0)
    columns = [
        content * size if content is not None and len(content) == 1 else content for content in contents
    ]
    if any(column is None or len(column) != size for column in columns):
        return fact
    rows = zip(*(column for column in columns if column is not None), strict=True)
    content = tuple(_calculate(call.node.operator, elements) for elements in rows)
    return Fact(fact.shape, content=content)


def _calculate(operator: str, elements: Sequence[Length]) -> Length:
    if operator == "Mul":
        return multiply(elements)
    if operator == "Where":
        return unknown() if elements[0].number is None else elements[1 if elements[0].number else 2]
    first, second = elements[0], elements[1]
    if operator == "Div":
        quotient = divide(first, second)
        return quotient if quotient.powers or quotient.number is not None else unknown()
    if operator == "Equal":
        if first == second:
            return ONE
        return known(0) if first.number is not None or second.number is not None else unknown()
    if not first.powers and not second.powers and operator in ("Add", "Sub"):
        return known(float(first.factor + second.factor * (1 if operator == "Add" else -1)))
    if operator in ("Add", "Sub") and not second.factor:
        return first
    return unknown()


def follow_random(call: NodeInputs) -> NoReturn:
    """Refuses random numbers: those of a row depend on how many were drawn before."""
    call.refuse("draws random numbers for all rows in turn")


def follow_drop_out(call: NodeInputs) -> Fact:
    """Follows rows through `Dropout`, which does nothing outside training."""
    if call.has(2) and call.input(2).numbers != [0]:
        call.refuse("draws random numbers for all rows in turn")
    return call.input(0)


def refuse_rows(how: str) -> Rule:
    """What looks at all values of its first input."""

    def rule(call: NodeInputs) -> Fact:
        if call.input(0).carries:
            call.refuse(how)
        return NOTHING

    return rule


def follow_normalized_text(call: NodeInputs) -> Fact:
    """Follows rows through `StringNormalizer`."""
    fact, stopwords = call.input(0), call.find("stopwords")
    if stopwords is not None and stopwords.strings and fact.rank == 1:
        call.keep_apart(fact, [0], "drops some of all rows")
    return fact
