"""What the analysis knows about a value in a graph: its shape, and which of its axes holds the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferq.models.row_dependence.axis_lengths import ONE, Length, make_unknown_length

Shape = tuple[Length, ...]


@dataclass(frozen=True, slots=True)
class AbstractValue:
    """What is known about a value.

    Attributes:
        shape: Length of each axis; None where the rank is not known.
        holds_rows: Whether it is computed from the rows' data, not only from their number.
        row_axis: The axis along which the rows are; None where it is not known, or there are no rows.
        elements: The elements of a small tensor, such as a shape; None where they are not known.
    """

    shape: Shape | None = None
    holds_rows: bool = False
    row_axis: int | None = None
    elements: tuple[Length, ...] | None = None

    @property
    def rank(self) -> int | None:
        """Number of axes."""
        return None if self.shape is None else len(self.shape)

    @property
    def integers(self) -> list[int] | None:
        """Its elements as integers; None where one is not known."""
        if self.elements is None:
            return None
        integers = [element.number for element in self.elements if element.number is not None]
        return integers if len(integers) == len(self.elements) else None

    def with_row_axis(self, axis: int | None, shape: Shape | None) -> "AbstractValue":
        """Returns a value of another shape, with the same rows along one of its axes."""
        return AbstractValue(shape, self.holds_rows, axis if self.holds_rows else None)

    def with_shape(self, shape: Shape | None) -> "AbstractValue":
        """Returns a value of another shape, with the same rows along the same axis."""
        return self.with_row_axis(self.row_axis, shape)

    def normalize_axis(self, axis: int) -> int:
        """Returns an axis counted from the front; a negative one stays where the rank is not known."""
        return axis + self.rank if axis < 0 and self.rank is not None else axis

    def broadcast_row_axis(self, shape: Shape | None) -> int | None:
        """Returns its row axis after it was broadcast to a shape."""
        if self.row_axis is None or self.rank is None or shape is None:
            return self.row_axis
        return self.row_axis + len(shape) - self.rank


UNKNOWN = AbstractValue()


def make_untracked(values: Sequence[AbstractValue]) -> AbstractValue:
    """Returns what is known of a value that is computed from these in an unknown way."""
    return AbstractValue(holds_rows=any(value.holds_rows for value in values))


def join(one: AbstractValue, other: AbstractValue) -> AbstractValue:
    """Returns what is known of a value that is one or the other (the join of two data-flow paths)."""
    if one == other:
        return one
    shape: Shape | None = None
    if one.shape is not None and other.shape is not None and len(one.shape) == len(other.shape):
        pairs = zip(one.shape, other.shape, strict=True)
        shape = tuple(first if first == second else make_unknown_length() for first, second in pairs)
    if one.holds_rows and other.holds_rows:
        return one.with_row_axis(one.row_axis if one.row_axis == other.row_axis else None, shape)
    source = one if one.holds_rows else other
    return source.with_shape(shape)


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """Returns the shape to which values of these shapes are broadcast, as by NumPy."""
    rank = max(map(len, shapes), default=0)
    padded = [(ONE,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_broadcast_lengths(lengths) for lengths in zip(*padded, strict=True))


def _broadcast_lengths(lengths: Sequence[Length]) -> Length:
    longer = [length for length in lengths if length != ONE]
    with_rows = [length for length in longer if length.has_rows]
    return (with_rows or longer or [ONE])[0]


def discard_elements(value: AbstractValue) -> AbstractValue:
    """Returns a value of the same shape and rows, whose elements are not known."""
    return replace(value, elements=None)


def forget_lengths(value: AbstractValue) -> AbstractValue:
    """Returns a value of the same rank and rows, of which no length is known."""
    return value.with_shape(
        None if value.shape is None else tuple(make_unknown_length() for _ in value.shape)
    )


def replace_length(value: AbstractValue, axis: int, length: Length) -> Shape | None:
    """Returns the shape of a value with another length for one axis."""
    if value.shape is None:
        return None
    changed = value.normalize_axis(axis)
    return tuple(length if axis == changed else old for axis, old in enumerate(value.shape))


def remove_axes(value: AbstractValue, removed: set[int]) -> AbstractValue:
    """Returns a value without some of its axes, which have length 1."""
    shape = None
    if value.shape is not None:
        shape = tuple(length for axis, length in enumerate(value.shape) if axis not in removed)
    if value.row_axis is None or value.row_axis in removed:
        return value.with_row_axis(None, shape)
    if value.rank is None and value.row_axis and min(removed) < 0:
        return value.with_row_axis(None, shape)
    count_before = sum(0 <= axis < value.row_axis for axis in removed)
    return value.with_row_axis(value.row_axis - count_before, shape)
