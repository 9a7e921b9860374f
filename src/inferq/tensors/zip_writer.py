"""Zip archives, written part by part: members are stored as they are, their checksums follow them."""

import struct
import zlib

from inferq.tensors.values import Buffer

_LOCAL = struct.Struct("<4sHHHIIIIHH")
_DESCRIPTOR = struct.Struct("<4sIII")
_ENTRY = struct.Struct("<4sHHHHIIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION = 20
_FLAGS = 0x808  # the checksum follows the member; names are UTF-8
_MOMENT = 0x00210000  # 1980-01-01, the first that there is: the same arrays make the same archive
_MOST_BYTES = 2**32 - 2
_LONGEST_NAME = 0xFFFF


class ZipWriter:
    """Writes an archive. The lengths of all members are known beforehand, so that its own is too.

    Args:
        members: Name and length of each member, in order.

    Raises:
        ValueError: The archive would be longer than 4 GiB, or a name than 65,535 bytes.
    """

    def __init__(self, members: list[tuple[str, int]]) -> None:
        self._names = [name.encode() for name, _ in members]
        self._lengths = [length for _, length in members]
        names = sum(map(len, self._names))
        each = _LOCAL.size + _DESCRIPTOR.size + _ENTRY.size
        self.length = len(members) * each + 2 * names + sum(self._lengths) + _END.size
        if self.length > _MOST_BYTES or len(members) > 0xFFFE:
            raise ValueError("The archive would be longer than 4 GiB.")
        if max(map(len, self._names), default=0) > _LONGEST_NAME:
            raise ValueError(
                f"A name is longer than {_LONGEST_NAME:,} bytes, the most that an archive takes."
            )
        self._directory = b""
        self._number = self._crc = self._position = 0

    def begin_member(self) -> bytes:
        """Returns what stands before the next member."""
        name = self._names[self._number]
        self._crc = 0
        return _LOCAL.pack(b"PK\3\4", _VERSION, _FLAGS, 0, _MOMENT, 0, 0, 0, len(name), 0) + name

    def add(self, part: Buffer) -> Buffer:
        """Returns a part of the member as it is, and remembers its checksum."""
        self._crc = zlib.crc32(part, self._crc)
        return part

    def end_member(self) -> bytes:
        """Returns what stands behind the member."""
        name, length = self._names[self._number], self._lengths[self._number]
        fields = (b"PK\1\2", _VERSION, _VERSION, _FLAGS, 0, _MOMENT, self._crc, length, length, len(name))
        self._directory += _ENTRY.pack(*fields, 0, 0, 0, 0, 0, self._position) + name
        self._position += _LOCAL.size + len(name) + length + _DESCRIPTOR.size
        self._number += 1
        return _DESCRIPTOR.pack(b"PK\7\10", self._crc, length, length)

    def end(self) -> bytes:
        """Returns the directory, with which the archive ends."""
        size, count = len(self._directory), len(self._names)
        return self._directory + _END.pack(b"PK\5\6", 0, 0, count, count, size, self._position, 0)
