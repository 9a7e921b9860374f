"""The fields of a Protocol Buffers message, read where it lies: what is not asked for is passed over."""

from collections.abc import Iterator
from typing import NamedTuple


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: By which the message's definition knows it.
        value: An integer, or the bytes of anything else.
    """

    number: int
    value: int | memoryview


def read_fields(view: memoryview) -> Iterator[Field]:
    """Yields the fields of a message: integers as they are, all else as bytes.

    Raises:
        ValueError: It is not what ONNX writes.
    """
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(view, at)
            yield Field(tag >> 3, number)
            continue
        if kind == 2:
            length, at = _varint(view, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}, which ONNX does not use")
        if length > end - at:
            raise ValueError(f"a field of {length} bytes where {end - at} are left")
        yield Field(tag >> 3, view[at : at + length])
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Returns the integer at a place, and the place behind it."""
    value = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("an integer that does not end")


def as_message(value: int | memoryview) -> memoryview:
    """Returns a field's value as a message.

    Raises:
        ValueError: It is an integer.
    """
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")  # noqa: TRY004 - of the file, not of the call
    return value


def as_text(value: int | memoryview | bytes) -> str:
    """Returns a field's value as a text.

    Raises:
        ValueError: It is an integer, or not UTF-8.
    """
    return str(value if isinstance(value, bytes) else as_message(value), "utf-8")


def as_signed(value: int) -> int:
    """Returns an integer of 64 bits with its sign."""
    return value - (1 << 64) if value >> 63 else value


def as_integers(values: Iterator[int | memoryview]) -> tuple[int, ...]:
    """Returns a repeated field, whose writer may have packed it or not."""
    found: list[int] = []
    for value in values:
        found += [as_signed(value)] if isinstance(value, int) else _unpack(value)
    return tuple(found)


def _unpack(view: memoryview) -> Iterator[int]:
    at = 0
    while at < len(view):
        value, at = _varint(view, at)
        yield as_signed(value)
