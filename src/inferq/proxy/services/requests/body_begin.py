"""What the begin of a long body tells of the whole: whether it is valid, before the rest is there."""

import mmap

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import HEAD_START, is_envelope, read_head, read_lengths
from inferq.tensors.envelope_codec import read_list, read_size
from inferq.tensors.file_types import FIRST_BYTES, MEDIA, NPY, detect_file_type
from inferq.tensors.npy_codec import read_data
from inferq.tensors.signature import Datatype

BEGIN_BYTES = 128 * 1024
"""So many of a body's first bytes are looked at. What is in a longer head is data, to be looked at itself."""
_FILE_BEGIN_BYTES = 16 * 1024
"""More than the header of an array may have."""
_LOOKED_AT = (Datatype.BOOL, Datatype.BYTES)
"""Of these each value is checked."""


def extend_begin(begin: bytes, size: int) -> memoryview:
    """Returns what passes for a whole payload as long as nobody looks behind its begin.

    What follows the begin reads as zeros, and takes no memory: the system gives a page when it is written to.

    Args:
        begin: The first bytes of it.
        size: How long it is, bytes; more than `begin`.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    payload = mmap.mmap(-1, size, flags)
    payload[: len(begin)] = begin
    return memoryview(payload).toreadonly()


def tells_validity(payload: memoryview, received: int) -> bool:
    """Whether all that is checked of a payload is in its begin, besides how long it is.

    It is so of pictures and sound, of arrays of numbers, and of envelopes of such. Not of JSON, of what has
    text or booleans, and of archives, whose directory is at their end.

    Args:
        payload: What `extend_begin` returned.
        received: How long the begin is, bytes.
    """
    try:
        if is_envelope(payload):
            return _tells_validity_of_entries(payload, received)
        return _tells_validity_of_file(payload)
    except InvalidInputError:  # the check says so, too
        return True


def _tells_validity_of_file(file: memoryview) -> bool:
    file_type = detect_file_type(file[:FIRST_BYTES])
    return read_data(file).datatype not in _LOOKED_AT if file_type is NPY else file_type in MEDIA


def _tells_validity_of_entries(payload: memoryview, received: int) -> bool:
    end, position = read_lengths(payload)
    if position > received:
        return False
    for entry in read_list(read_head(payload[HEAD_START:end]), "inputs"):
        size = read_size(entry, "inputs")
        if size is None:
            continue  # its values are in the head
        if "content_type" in entry["parameters"]:
            is_begun = min(size, _FILE_BEGIN_BYTES) <= received - position
            if not is_begun or not _tells_validity_of_file(payload[position : position + size]):
                return False
        elif entry.get("datatype") in _LOOKED_AT:
            return False
        position += size
    return True
