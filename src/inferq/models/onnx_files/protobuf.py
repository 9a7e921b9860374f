"""The fields of a Protocol Buffers message, read in place: what is not needed is skipped."""

from collections.abc import Iterator
from typing import NamedTuple


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: Its number in the definition of the message.
        value: An integer, or the bytes of anything else.
    """

    number: int
    value: int | memoryview


def read_fields(view: memoryview) -> Iterator[Field]:
    """Yields the fields of a message: integers as they are, all else as bytes.

    Raises:
        ValueError: It is not what ONNX writes.
    """
    offset, end = 0, len(view)
    while offset < end:
        tag, offset = _read_varint(view, offset)
        kind = tag & 7
        if kind == 0:
            number, offset = _read_varint(view, offset)
            yield Field(tag >> 3, number)
            continue
        if kind == 2:
            length, offset = _read_varint(view, offset)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}, which ONNX does not use")
        if length > end - offset:
            raise ValueError(f"a field of {length} bytes where {end - offset} are left")
        yield Field(tag >> 3, view[offset : offset + length])
        offset += length


def _read_varint(view: memoryview, offset: int) -> tuple[int, int]:
    """Returns the integer at an offset, and the offset behind it."""
    value = shift = 0
    while offset < len(view) and shift < 70:
        byte = view[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
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
    offset = 0
    while offset < len(view):
        value, offset = _read_varint(view, offset)
        yield as_signed(value)
