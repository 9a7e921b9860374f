"""Files that are data as they are: pictures, sound, NumPy's; from a path, from memory, or from Pillow."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from inferq.errors import InvalidInputError
from inferq.tensors.file_types import FIRST_BYTES, detect_file_type

PART_BYTES = 256 * 1024
"""So much of a file is read at once."""

_MODES_OF_PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_JSON_BEGINS = (b"[", b"{", b'"')


class FileOnDisk(NamedTuple):
    """A file whose bytes are read while they are sent.

    Attributes:
        path: Where it is.
        size: How long it is, bytes.
    """

    path: Path
    size: int

    def read_parts(self) -> Iterator[bytes]:
        """Yields its bytes."""
        with self.path.open("rb") as file:
            while part := file.read(PART_BYTES):
                yield part


class ContentInPieces(NamedTuple):
    """Bytes and files that follow each other, which are read while they are sent.

    Attributes:
        pieces: Them.
        size: How long they are together, bytes.
    """

    pieces: tuple[bytes | memoryview | FileOnDisk, ...]
    size: int

    @property
    def has_files(self) -> bool:
        """Whether there is a file among them."""
        return any(isinstance(piece, FileOnDisk) for piece in self.pieces)

    def read_parts(self) -> Iterator[bytes]:
        """Yields their bytes."""
        for piece in self.pieces:
            if isinstance(piece, FileOnDisk):
                yield from piece.read_parts()
            else:
                view = memoryview(piece)
                yield from (
                    bytes(view[start : start + PART_BYTES]) for start in range(0, len(view), PART_BYTES)
                )


class MediaData(NamedTuple):
    """A file that is the data of a job, or of one of its inputs.

    Attributes:
        content: Its bytes, or where they are.
        media_type: What HTTP calls it.
    """

    content: bytes | FileOnDisk
    media_type: str

    @property
    def size(self) -> int:
        """How long it is, bytes."""
        return self.content.size if isinstance(self.content, FileOnDisk) else len(self.content)

    def read(self) -> bytes:
        """Returns all its bytes."""
        return b"".join(self.content.read_parts()) if isinstance(self.content, FileOnDisk) else self.content


def read_media(value: Any) -> MediaData | None:  # noqa: ANN401 - whatever users hold
    """Recognises a file: a `Path`, bytes, or an image of Pillow. None for everything else, and for JSON.

    Raises:
        InvalidInputError: It is a file of no known type, or cannot be read.
    """
    if isinstance(value, Path):
        return _read_path(value)
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        return MediaData(content, _detect(content[:FIRST_BYTES], f"{len(content):,} bytes"))
    kind = type(value)
    if all(hasattr(kind, name) for name in ("save", "convert", "getbands", "mode")):
        return MediaData(_write_png(value), "image/png")
    return None


def read_json_file(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    """Returns the JSON of a file, where `value` is the path of such; `value` itself where not.

    Raises:
        InvalidInputError: It is no valid JSON, or cannot be read.
    """
    if not isinstance(value, Path) or not _read_begin(value).lstrip().startswith(_JSON_BEGINS):
        return value
    try:
        return json.loads(value.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{value} begins as JSON does, but is none: {error}.") from error


def open_file(path: Path) -> FileOnDisk:
    """Returns a file of any type, whose bytes are read while they are sent.

    Raises:
        InvalidInputError: It cannot be read.
    """
    _read_begin(path)
    return FileOnDisk(path, path.stat().st_size)


def write_base64(media: MediaData) -> dict[str, str]:
    """Returns a file as JSON may carry it."""
    return {"b64": base64.b64encode(media.read()).decode()}


def _read_path(path: Path) -> MediaData:
    begin = _read_begin(path)
    media_type = _detect(begin[:FIRST_BYTES], str(path))
    return MediaData(FileOnDisk(path, path.stat().st_size), media_type)


def _read_begin(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _detect(first_bytes: bytes, what: str) -> str:
    file_type = detect_file_type(first_bytes)
    if file_type is None:
        raise InvalidInputError(
            f"{what}: expected a picture, a WAV file, .npy, .npz or JSON, got what begins with "
            f"{first_bytes[:8]!r}. Read tables with pandas and bare numbers with NumPy first."
        )
    return file_type.media_type


def _write_png(image: Any) -> bytes:  # noqa: ANN401 - an image of Pillow
    """Returns an image as a PNG, which changes no pixel; colours of other kinds become RGB first.

    Of the mode I, as which Pillow has read pictures of 16 bits, PNG has 16 bits.
    """
    known = image if image.mode in _MODES_OF_PNG else image.convert("I;16" if image.mode == "I" else "RGB")
    file = io.BytesIO()
    known.save(file, format="PNG", compress_level=1)
    return file.getvalue()
