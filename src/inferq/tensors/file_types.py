"""Types of files, told apart by their first bytes."""

import re
from typing import NamedTuple


class FileType(NamedTuple):
    """A type of file.

    Attributes:
        name: What errors call it.
        media_type: What HTTP calls it.
        suffix: How names of such files end.
    """

    name: str
    media_type: str
    suffix: str


NPY = FileType("a NumPy array (.npy)", "application/x-npy", ".npy")
NPZ = FileType("a zip archive (.npz)", "application/x-npz", ".npz")
ENVELOPE = FileType("an envelope of raw tensors", "application/x-inferq", ".inferq")
MEDIA = (
    PNG := FileType("a PNG image", "image/png", ".png"),
    JPEG := FileType("a JPEG image", "image/jpeg", ".jpg"),
    WEBP := FileType("a WebP image", "image/webp", ".webp"),
    GIF := FileType("a GIF image", "image/gif", ".gif"),
    TIFF := FileType("a TIFF image", "image/tiff", ".tif"),
    BMP := FileType("a BMP image", "image/bmp", ".bmp"),
    WAV := FileType("a WAV file", "audio/wav", ".wav"),
)
"""Pictures and sound."""

FIRST_BYTES = 16
"""So many bytes tell the type of a file."""

_STARTS = (
    (re.compile(rb"\x93INFERQ"), ENVELOPE),
    (re.compile(rb"\x93NUMPY"), NPY),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), NPZ),
    (re.compile(rb"\x89PNG"), PNG),
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WEBP),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), WAV),
    (re.compile(rb"GIF8"), GIF),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TIFF),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), BMP),
)
"""How files of each type begin. None of them begins a JSON text."""


def detect_file_type(first_bytes: bytes | bytearray | memoryview) -> FileType | None:
    """Returns the type of a file; None where it is none of these.

    Args:
        first_bytes: At least the first `FIRST_BYTES` of it, or all of a shorter one.
    """
    return next((file_type for start, file_type in _STARTS if start.match(first_bytes)), None)
