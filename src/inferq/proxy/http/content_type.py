"""What the Content-Type of a request for a prediction says of its body."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from inferq.errors import InvalidInputError, UnsupportedMediaTypeError
from inferq.tensors.file_types import (
    BMP,
    ENVELOPE,
    FIRST_BYTES,
    JPEG,
    MEDIA,
    NPY,
    NPZ,
    WAV,
    FileType,
    detect_file_type,
)

JSON = "application/json"
RAW_TENSOR = "application/octet-stream"
FORM = "multipart/form-data"

_FILES = {one.media_type: one for one in (NPY, NPZ, *MEDIA, ENVELOPE)}
_OTHER_NAMES = {
    "application/npy": NPY,
    "application/zip": NPZ,
    "image/jpg": JPEG,
    "image/x-ms-bmp": BMP,
    "audio/x-wav": WAV,
    "audio/wave": WAV,
    "audio/vnd.wave": WAV,
}
MEDIA_TYPES = (JSON, RAW_TENSOR, FORM, *_FILES)
"""What a body may be, by the name that its answer has."""

_SAYS_NOTHING = ("", "application/x-www-form-urlencoded")  # the latter is what `curl -d` sends unasked
_TEXTS = (JSON, "text/json", "text/plain")
_MEDIA_TYPE = re.compile(r"[ \t]*([!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+)[ \t]*(?:;(.*))?", re.ASCII)
_BOUNDARY = re.compile(r'(?:^|;)[ \t]*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)


class ContentType(NamedTuple):
    """What a Content-Type says.

    Attributes:
        media_type: Without parameters, in lower case; empty where it says nothing of the body.
        boundary: What separates the parts of `multipart/form-data`.
    """

    media_type: str
    boundary: bytes = b""

    def is_json(self, body: bytes) -> bool:
        """Whether a body is JSON, by what this says, or else by how the body begins.

        Args:
            body: The body, or its first bytes.
        """
        if not self.media_type:
            return detect_file_type(body[:FIRST_BYTES]) is None
        return self.media_type in _TEXTS or self.media_type.endswith("+json")

    @property
    def file_type(self) -> FileType | None:
        """The type of file that the body is; None where it is none, or where nothing is said."""
        return find_file_type(self.media_type)


def find_file_type(media_type: str) -> FileType | None:
    """Returns the type of files of a media type, in lower case; None if there is none."""
    return _FILES.get(media_type) or _OTHER_NAMES.get(media_type)


def read_content_type(headers: Iterable[tuple[bytes, bytes]]) -> ContentType:
    """Reads what the headers of a request say of its body.

    Raises:
        UnsupportedMediaTypeError: It is of a type that is not known, or there are several.
        InvalidInputError: It is multipart without a boundary.
    """
    values = [value for name, value in headers if name == b"content-type"]
    if not values:
        return ContentType("")
    found = _MEDIA_TYPE.fullmatch(values[0].decode("latin-1")) if len(values) == 1 else None
    if found is None:
        raise _make_error(b", ".join(values).decode("latin-1"))
    media_type = found[1].lower()
    if media_type in _SAYS_NOTHING:
        return ContentType("")
    if media_type == FORM:
        boundary = _BOUNDARY.search(found[2] or "")
        if boundary is None:
            raise InvalidInputError(
                f"Content-Type is {FORM} without a boundary. Let the client library write the header, which "
                "knows the boundary."
            )
        return ContentType(media_type, (boundary[1] or boundary[2]).encode("latin-1"))
    if media_type in (*_TEXTS, RAW_TENSOR) or media_type.endswith("+json") or find_file_type(media_type):
        return ContentType(media_type)
    raise _make_error(media_type)


def check_file_type(file: bytes | memoryview, expected: FileType, where: str, media_type: str) -> None:
    """Refuses a file that is not of the type that is said.

    Args:
        file: The file.
        expected: The type.
        where: What the file is, for errors.
        media_type: How the type was said.

    Raises:
        InvalidInputError: It begins as another one, or as none.
    """
    found = detect_file_type(file[:FIRST_BYTES])
    if found is not expected:
        got = f"{found.name}: send that as {found.media_type}" if found else "no file of a known type"
        raise InvalidInputError(
            f"{where} is said to be {expected.name} (Content-Type {media_type}), but begins as {got}."
        )


def _make_error(said: str) -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(
        f"Content-Type {said[:80]!r} is not known. Expected one of {', '.join(MEDIA_TYPES)}."
    )
