"""Protocol Buffers, written: as much as a small ONNX file needs. `protobuf` reads them."""

_MASK = 2**64 - 1


def write_number(field: int, value: int) -> bytes:
    """Returns a field with a whole number, which may be negative."""
    return _write_varint(field << 3) + _write_varint(value & _MASK)


def write_bytes(field: int, value: bytes) -> bytes:
    """Returns a field with bytes, text or a message."""
    return _write_varint(field << 3 | 2) + _write_varint(len(value)) + value


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
