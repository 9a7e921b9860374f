"""Symbolic lengths of axes: products such as `rows × heads ÷ 2`."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import count
from typing import NamedTuple

_ROWS = "rows"
_numbers = count()


class Length(NamedTuple):
    """A number times powers of unknown lengths; also an element of a tensor of lengths.

    Attributes:
        factor: The number.
        powers: The power of each unknown, by name; none of them 0.
    """

    factor: Fraction
    powers: tuple[tuple[str, int], ...] = ()

    @property
    def number(self) -> int | None:
        """Its value, if it is a known whole number."""
        return int(self.factor) if not self.powers and self.factor.denominator == 1 else None

    @property
    def has_rows(self) -> bool:
        """Whether it is proportional to the number of rows."""
        return (_ROWS, 1) in self.powers


def make_length(number: float) -> Length:
    """Returns a length that is a number."""
    return Length(Fraction(number))


def make_named_length(name: str) -> Length:
    """Returns an unknown length, the same for the same name."""
    return Length(Fraction(1), ((f"named {name}", 1),))


def make_unknown_length() -> Length:
    """Returns an unknown length that equals no other."""
    return Length(Fraction(1), ((f"unknown {next(_numbers)}", 1),))


ONE = make_length(1)
ROWS = Length(Fraction(1), ((_ROWS, 1),))


def multiply(lengths: Iterable[Length]) -> Length:
    """Returns the product of lengths; 1 for none."""
    factor, powers = Fraction(1), dict[str, int]()
    for length in lengths:
        factor *= length.factor
        for name, power in length.powers:
            powers[name] = powers.get(name, 0) + power
    return Length(factor, tuple(sorted((name, power) for name, power in powers.items() if power)))


def divide(length: Length, by: Length) -> Length:
    """Returns the quotient of two lengths; unknown for a division by 0."""
    if not by.factor:
        return make_unknown_length()
    inverse = Length(1 / by.factor, tuple((name, -power) for name, power in by.powers))
    return multiply([length, inverse])
