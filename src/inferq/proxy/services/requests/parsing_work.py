"""How much of a body that is not JSON its check looks at value by value, or unpacks."""

from inferq.errors import InvalidInputError
from inferq.proxy.http.bodies.form_body import FormPart
from inferq.tensors.envelope import HEAD_START, measure_head
from inferq.tensors.file_types import ENVELOPE, FIRST_BYTES, MEDIA, NPY, NPZ, detect_file_type
from inferq.tensors.npy_codec import read_data
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer
from inferq.tensors.zip_archive import measure_members

_SIGNS_OF_TEXT = (b"BYTES", b"npy", b"\\")
"""In the head of an envelope whose tensors may hold texts, each of which is checked."""


def measure_work(payload: Buffer) -> int:
    """Returns how many bytes a check looks at: 0 for numbers, of which only the lengths are checked.

    Args:
        payload: A file or an envelope.
    """
    file_type = detect_file_type(bytes(payload[:FIRST_BYTES]))
    try:
        if file_type is NPZ:  # checksums are computed of all
            return len(payload) + measure_members(payload)
        if file_type is NPY:
            return len(payload) if read_data(payload).datatype is Datatype.BYTES else 0
    except InvalidInputError:
        return 0
    if file_type is ENVELOPE:
        head = bytes(payload[: HEAD_START + measure_head(payload)])
        return len(payload) if any(sign in head for sign in _SIGNS_OF_TEXT) else len(head)
    return 0 if file_type in MEDIA else len(payload)


def measure_form_work(parts: list[FormPart]) -> int:
    """Returns the same of the parts of a form.

    Texts are never raw tensors there, as the shape of one cannot be said.
    """
    return sum(
        len(part.data) if part.is_json else measure_work(part.data)
        for part in parts
        if part.is_json or detect_file_type(part.data[:FIRST_BYTES]) is not None
    )
