r"""The envelope: named raw tensors and files in one payload.

    \x93INFERQ  version  u32 length of the head  u32 offset of the data  head  padding  data

Numbers are little-endian; the offset is a multiple of 64. No JSON text begins with 0x93. The head is a
JSON object, such as a request or a response of the Open Inference Protocol: in each entry of `inputs` and
`outputs` stands either `data`, or `parameters.binary_data_size`; the data of the latter follow each other in
that order, without gaps. An entry with `parameters.content_type` is a file, such as `image/jpeg`, which has
no datatype and no shape. A result's head may have `result` besides: its JSON as `GET /job/{id}` shows it.

Version 2 is a reference: it stands for a payload that lies in a blob store. Its head is `{"key", "bytes",
"store"}`, and its data are the first bytes of that payload, which tell its form.
"""

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from inferq.errors import InvalidInputError
from inferq.tensors.values import Buffer

_START = struct.Struct("<7sBII")
HEAD_START = _START.size
"""Where the head begins."""

_MAGIC = b"\x93INFERQ"
_VERSION, _REFERENCE_VERSION = 1, 2
_ALIGNMENT = 64
REFERENCE_BEGIN_BYTES = 64
"""So many of a payload's first bytes its reference has."""
_REFERENCE_START = _MAGIC + bytes([_REFERENCE_VERSION])
MOST_REFERENCE_BYTES = 1024
"""No reference is longer."""
MOST_HEAD_BYTES = 64 * 1024 * 1024
"""Of a longer head something is wrong: what is that long is data."""


class Envelope(NamedTuple):
    """What an envelope holds.

    Attributes:
        head: The JSON object.
        data: The bytes behind it.
    """

    head: dict[str, Any]
    data: memoryview


class BlobReference(NamedTuple):
    """What stands for a payload that lies in a blob store.

    Attributes:
        key: Its key in the store: `{job id}/{data|result}/{random}`.
        size: Its length, bytes.
        store: Id of the store.
        begin: Its first bytes, by which `detect_form` knows its form.
    """

    key: str
    size: int
    store: str
    begin: bytes


def write_prefix(head: bytes) -> bytes:
    """Returns all of an envelope but its data, which is to follow.

    Args:
        head: The JSON object.
    """
    return _write_prefix(head, _VERSION)


def frame_head(head_bytes: int, version: int = _VERSION) -> tuple[bytes, bytes]:
    """Returns what `write_prefix` writes before and behind a head.

    Args:
        head_bytes: How long the head is.
        version: Of the envelope's form.
    """
    offset = -(-(HEAD_START + head_bytes) // _ALIGNMENT) * _ALIGNMENT
    return _START.pack(_MAGIC, version, head_bytes, offset), b" " * (offset - HEAD_START - head_bytes)


def _write_prefix(head: bytes, version: int) -> bytes:
    return head.join(frame_head(len(head), version))


def write_begin(head_bytes: int) -> bytes:
    """Returns what makes an envelope of a head and its data that follow each other without a gap.

    Spaces before the head take the place of the padding behind it: to JSON they mean nothing.

    Args:
        head_bytes: How long the head is.
    """
    padding = -(_START.size + head_bytes) % _ALIGNMENT
    length = padding + head_bytes
    return _START.pack(_MAGIC, _VERSION, length, _START.size + length) + b" " * padding


def write_envelope(head: object, data: Iterable[Buffer] = ()) -> bytes:
    """Writes an envelope.

    Args:
        head: The JSON object.
        data: The bytes of each entry that has `binary_data_size`, in order.
    """
    return b"".join((write_prefix(to_json(head)), *data))


def is_envelope(payload: Buffer) -> bool:
    """Whether bytes begin as an envelope does."""
    return bytes(payload[: len(_MAGIC)]) == _MAGIC


def read_lengths(first_bytes: Buffer) -> tuple[int, int]:
    """Returns where the head ends, which begins at `HEAD_START`, and where the data begins.

    Args:
        first_bytes: At least `HEAD_START` of them.

    Raises:
        InvalidInputError: It is damaged, or of a later version.
    """
    return _read_lengths(first_bytes, _VERSION)


def _read_lengths(first_bytes: Buffer, expected: int) -> tuple[int, int]:
    try:
        magic, version, length, offset = _START.unpack_from(first_bytes)
    except struct.error as error:
        raise _make_error("it ends within its first bytes") from error
    if magic != _MAGIC:
        raise _make_error("it does not begin as one")
    if version != expected:
        raise _make_error(f"it is of version {version}, and only version {expected} is known here")
    if length > MOST_HEAD_BYTES or HEAD_START + length > offset:
        raise _make_error("the lengths at its begin do not fit")
    return HEAD_START + length, offset


def read_head(head: Buffer) -> dict[str, Any]:
    """Reads the head.

    Raises:
        InvalidInputError: It is no JSON object.
    """
    try:
        found = from_json(bytes(head), allow_inf_nan=True)
    except ValueError as error:
        raise _make_error(f"its head is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _make_error("its head is no JSON object")
    return found


def read_envelope(payload: Buffer) -> Envelope:
    """Reads an envelope, without a copy of its data.

    Raises:
        InvalidInputError: It is damaged, or of a later version.
    """
    return _read(payload, _VERSION)


def write_reference(key: str, payload: Buffer, store: str, size: int | None = None) -> bytes:
    """Writes the reference to a payload.

    Args:
        key: Its key in the store.
        payload: The payload; its first 64 bytes are enough where its length is said.
        store: Id of the store.
        size: Its length, bytes; if left out, that of `payload`.
    """
    head = to_json({"key": key, "bytes": len(payload) if size is None else size, "store": store})
    return _write_prefix(head, _REFERENCE_VERSION) + bytes(payload[:REFERENCE_BEGIN_BYTES])


def is_reference(payload: Buffer) -> bool:
    """Whether what stands in a key is a reference, and not the payload itself."""
    return payload[: len(_REFERENCE_START)] == _REFERENCE_START


def read_reference(payload: Buffer) -> BlobReference:
    """Reads a reference.

    Raises:
        InvalidInputError: It is damaged, or none.
    """
    head, begin = _read(payload, _REFERENCE_VERSION)
    key, size, store = head.get("key"), head.get("bytes"), head.get("store")
    if not (isinstance(key, str) and isinstance(size, int) and size >= 0 and isinstance(store, str)):
        raise _make_error('its head has not "key", "bytes" and "store"')
    return BlobReference(key, size, store, bytes(begin))


def _read(payload: Buffer, expected: int) -> Envelope:
    view = memoryview(payload)
    end, offset = _read_lengths(view, expected)
    if offset > len(view):
        raise _make_error("the lengths at its begin do not fit")
    return Envelope(read_head(view[HEAD_START:end]), view[offset:])


def measure_head(payload: Buffer) -> int:
    """Returns how long the head of an envelope is, bytes; 0 if it is damaged."""
    try:
        return int(_START.unpack_from(payload)[2])
    except struct.error:
        return 0


def _make_error(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"The envelope of raw tensors cannot be read: {reason}. Store it again, as "
        "the specification describes."
    )
