"""What is known of a value in a graph: its shape, and where in it the rows of the jobs are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferq.models.row_dependence.axis_lengths import ONE, Length, unknown

Shape = tuple[Length, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a value.

    Attributes:
        shape: Length of each axis; None where not even their number is known.
        carries: Whether it is made of the rows' data, not only of their number.
        axis: Along which axis they are; None where that is not known, or it carries none.
        content: The elements of a tensor of few, such as a shape; None where they are not known.
    """

    shape: Shape | None = None
    carries: bool = False
    axis: int | None = None
    content: tuple[Length, ...] | None = None

    @property
    def rank(self) -> int | None:
        """Number of axes."""
        return None if self.shape is None else len(self.shape)

    @property
    def numbers(self) -> list[int] | None:
        """Its elements as integers, if all are known."""
        numbers = [element.number for element in self.content or ()]
        return (
            None if self.content is None or None in numbers else [one for one in numbers if one is not None]
        )

    def along(self, axis: int | None, shape: Shape | None) -> "Fact":
        """The same rows along another axis of another shape."""
        return Fact(shape, self.carries, axis if self.carries else None)

    def counted(self, axis: int) -> int:
        """An axis as counted from the front, if it is given from the back and that is possible."""
        return axis + self.rank if axis < 0 and self.rank is not None else axis

    def axis_in(self, shape: Shape | None) -> int | None:
        """Where its rows are once it is broadcast to a shape."""
        if self.axis is None or self.rank is None or shape is None:
            return self.axis
        return self.axis + len(shape) - self.rank


NOTHING = Fact()


def lost(facts: Sequence[Fact]) -> Fact:
    """What is known of a value that is made of these in an unknown way."""
    return Fact(carries=any(fact.carries for fact in facts))


def merge(one: Fact, other: Fact) -> Fact:
    """What is known of a value that is the one or the other."""
    if one == other:
        return one
    shape: Shape | None = None
    if one.shape is not None and other.shape is not None and len(one.shape) == len(other.shape):
        pairs = zip(one.shape, other.shape, strict=True)
        shape = tuple(length if length == twin else unknown() for length, twin in pairs)
    if one.carries and other.carries:
        return one.along(one.axis if one.axis == other.axis else None, shape)
    carrier = one if one.carries else other
    return carrier.along(carrier.axis, shape)


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """The shape of an operation on values of these, as NumPy has it."""
    rank = max(map(len, shapes), default=0)
    padded = [(ONE,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_longest(lengths) for lengths in zip(*padded, strict=True))


def _longest(lengths: Sequence[Length]) -> Length:
    longer = [length for length in lengths if length != ONE]
    with_rows = [length for length in longer if length.has_rows]
    return (with_rows or longer or [ONE])[0]


def without_content(fact: Fact) -> Fact:
    """The same, of a value whose elements have changed."""
    return replace(fact, content=None)


def with_length(fact: Fact, axis: int, length: Length) -> Shape | None:
    """The shape of a value, with another length of one axis."""
    if fact.shape is None:
        return None
    return tuple(length if place == fact.counted(axis) else one for place, one in enumerate(fact.shape))


def drop(fact: Fact, gone: set[int]) -> Fact:
    """What is left of a value without some of its axes, which had one entry each."""
    shape = None
    if fact.shape is not None:
        shape = tuple(one for place, one in enumerate(fact.shape) if place not in gone)
    if fact.axis is None or fact.axis in gone:
        return fact.along(None, shape)
    if fact.rank is None and fact.axis and min(gone) < 0:
        return fact.along(None, shape)
    return fact.along(fact.axis - sum(0 <= place < fact.axis for place in gone), shape)
