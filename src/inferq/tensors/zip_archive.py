"""Zip archives of arrays, read from memory with limits.

What is stored is read without a copy. No archive is larger than 4 GiB here, so what zip has for larger ones
(zip64) is not needed.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from inferq.errors import InvalidInputError
from inferq.tensors.values import Buffer

MOST_MEMBERS = 4096
MOST_INFLATED_BYTES = 256 * 1024 * 1024
"""Of all compressed members together: a small archive can claim to hold any number of bytes."""

_END = struct.Struct("<4s4xHHIIH")
_ENTRY = struct.Struct("<4s4xHH4xIIIHHHHH4xI")
_LOCAL = struct.Struct("<4s22xHH")
_LONGEST_COMMENT = 65535
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _UTF8 = 1, 0x800
_FULL = 0xFFFFFFFF


class _Entry(NamedTuple):
    name: str
    method: int
    crc: int
    packed: int
    length: int
    offset: int


def read_members(archive: Buffer) -> dict[str, Buffer]:
    """Returns the bytes of each member by its name.

    Raises:
        InvalidInputError: The archive is damaged, or too large, or has a name twice.
    """
    view = memoryview(archive)
    members: dict[str, Buffer] = {}
    stored, inflated = len(view), MOST_INFLATED_BYTES
    for entry in _read_entries(view):
        if entry.name in members:
            _refuse(f"it has {entry.name!r} twice")
        if entry.method == _STORED:
            stored -= entry.length
        else:
            inflated -= entry.length
        if stored < 0:
            _refuse("its members overlap")
        if inflated < 0:
            raise InvalidInputError(
                f"The zip archive unpacks to more than {MOST_INFLATED_BYTES:,} bytes, the most that is "
                "unpacked. Save it without compression (numpy.savez), or send less in one job."
            )
        members[entry.name] = _read_member(view, entry)
    return members


def measure_members(archive: Buffer) -> int:
    """Returns how long the members of an archive say that they are, all together, bytes.

    Raises:
        InvalidInputError: The archive is damaged.
    """
    return sum(entry.length for entry in _read_entries(memoryview(archive)))


def _read_entries(view: memoryview) -> Iterator[_Entry]:
    tail = bytes(view[-(_END.size + _LONGEST_COMMENT) :])
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        _refuse("it has no directory at its end")
    _, here, count, size, position, _ = _END.unpack_from(tail, at)
    if position == _FULL or here != count:
        _refuse("it is one part of several, or larger than 4 GiB")
    if count > MOST_MEMBERS:
        _refuse(f"it has {count:,} members, more than {MOST_MEMBERS:,}")
    if position + size > len(view) - len(tail) + at:
        _refuse("its directory is not where it says")
    for _ in range(count):
        try:
            fields = _ENTRY.unpack_from(view, position)
        except struct.error:
            _refuse("its directory is incomplete")
        magic, flags, method, crc, packed, length, name, extra, comment, _, _, offset = fields
        if magic != b"PK\1\2":
            _refuse("its directory is damaged")
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            _refuse("it is encrypted, or compressed by another method than deflate")
        if _FULL in (packed, length, offset):
            _refuse("it has members of more than 4 GiB")
        start = position + _ENTRY.size
        text = bytes(view[start : start + name]).decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        position = start + name + extra + comment
        yield _Entry(text, method, crc, packed, length, offset)


def _read_member(view: memoryview, entry: _Entry) -> Buffer:
    try:
        magic, name, extra = _LOCAL.unpack_from(view, entry.offset)
    except struct.error:
        _refuse(f"the begin of {entry.name!r} is not where its directory says")
    start = entry.offset + _LOCAL.size + name + extra
    packed = view[start : start + entry.packed]
    if magic != b"PK\3\4" or len(packed) != entry.packed:
        _refuse(f"{entry.name!r} is not where its directory says")
    data = _inflate(packed, entry) if entry.method == _DEFLATED else packed
    if len(data) != entry.length or zlib.crc32(data) != entry.crc:
        _refuse(f"{entry.name!r} is damaged: its length or its checksum differs")
    return data


def _inflate(packed: memoryview, entry: _Entry) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, entry.length + 1)
    except zlib.error as error:
        _refuse(f"{entry.name!r} is damaged: {error}")
    return data


def _refuse(reason: str) -> NoReturn:
    raise InvalidInputError(f"The zip archive cannot be read: {reason}. Save it again with numpy.savez.")
