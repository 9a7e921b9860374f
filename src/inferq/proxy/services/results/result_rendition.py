"""A result in one of the forms in which it can be read."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferq.proxy.services.results.stored_result import StoredResult
from inferq.tensors.zip_writer import ZipWriter


class StoredSlice(NamedTuple):
    """A part of a stored result.

    Attributes:
        start: Where it begins.
        end: Where it ends, exclusive.
    """

    start: int
    end: int


type Segments = Sequence[bytes | StoredSlice]


@dataclass(frozen=True, slots=True)
class Rendition:
    """A result as it is sent.

    Attributes:
        media_type: What it is.
        suffix: How the name of such a file ends.
        length: How long it is, bytes; None where that is not known beforehand.
        read: Yields its bytes from one to another.
        headers: More headers of the answer.
    """

    media_type: str
    suffix: str
    length: int | None
    read: Callable[[int, int], AsyncIterator[bytes]]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def render_stored(stored: StoredResult, media_type: str, suffix: str) -> Rendition:
    """Renders a result as it is stored."""
    return Rendition(media_type, suffix, stored.length, stored.read_parts)


def render_segments(
    stored: StoredResult,
    segments: Segments,
    media_type: str,
    suffix: str,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Rendition:
    """Renders parts of a result, with bytes between them."""

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        position = 0
        for segment in segments:
            length = measure([segment])
            first, last = max(start - position, 0), min(end - position, length)
            position += length
            if first >= last:
                continue
            if isinstance(segment, bytes):
                yield segment[first:last]
                continue
            async for part in stored.read_parts(segment.start + first, segment.start + last):
                yield part

    return Rendition(media_type, suffix, measure(segments), read, headers)


def render_archive(
    stored: StoredResult, members: Sequence[tuple[str, Segments]], media_type: str, suffix: str
) -> Rendition:
    """Renders parts of a result as the members of a zip archive.

    Raises:
        ValueError: It would be longer than 4 GiB, or a name too long.
    """
    lengths = [(name, measure(segments)) for name, segments in members]

    async def read_all() -> AsyncIterator[bytes]:
        writer = ZipWriter(lengths)
        for (_, length), (_, segments) in zip(lengths, members, strict=True):
            yield writer.begin_member()
            async for part in render_segments(stored, segments, media_type, suffix).read(0, length):
                writer.add(part)
                yield part
            yield writer.end_member()
        yield writer.end()

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        position = 0
        async for part in read_all():  # from the first byte on: checksums stand behind the members
            first, last = max(start - position, 0), min(end - position, len(part))
            position += len(part)
            if first < last:
                yield part[first:last]
            if position >= end:
                return

    return Rendition(media_type, suffix, ZipWriter(lengths).length, read)


def measure(segments: Segments) -> int:
    """Returns how long segments are together, bytes."""
    return sum(
        len(segment) if isinstance(segment, bytes) else segment.end - segment.start for segment in segments
    )
