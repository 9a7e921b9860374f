"""The result of a large job, put together from those of its chunks: the same bytes as of one run.

It is planned from their heads alone. What it is made of is then read piece by piece, in order, so that no
process needs memory for all of it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from inferq.models.results.chunk_result import ChunkHead, ChunkOutput
from inferq.models.results.tensor_result import MOST_SHOWN_BYTES
from inferq.tensors.envelope import frame_head
from inferq.tensors.json_codec import write_arrays


class ChunkPiece(NamedTuple):
    """Some bytes of the result of a chunk.

    Attributes:
        chunk: Index of the chunk.
        first: Where they begin.
        length: How many they are.
    """

    chunk: int
    first: int
    length: int


type Piece = bytes | ChunkPiece


def plan_result(heads: Sequence[ChunkHead], *, is_json: bool) -> list[Piece] | str:
    """Plans the result of a job.

    Args:
        heads: Of the results of all its chunks, in order of their rows.
        is_json: Whether it is to be JSON.

    Returns:
        What it is made of, in order; or why it cannot be made of them, as a clause.
    """
    for head in heads:
        if head.obstacle:
            return head.obstacle
    shown = _plan_json(heads)
    if shown is None:
        return "the JSON of its parts is not alike"
    return shown if is_json else _plan_tensors(heads, shown)


def measure_pieces(pieces: Sequence[Piece]) -> int:
    """Returns how many bytes some pieces have together."""
    return sum(piece.length if isinstance(piece, ChunkPiece) else len(piece) for piece in pieces)


def _plan_json(heads: Sequence[ChunkHead]) -> list[Piece] | None:
    """Plans the JSON; there is none where a chunk has none. None where they have different members."""
    if not all(head.around for head in heads):
        return []
    around = heads[0].around
    if any(head.around != around for head in heads):
        return None
    starts = [head.start + sum(output.size for output in head.outputs) for head in heads]
    pieces: list[Piece] = [around[0].encode()]
    for number, text in enumerate(around[1:]):
        sizes = [head.lists[number] for head in heads]
        pieces += _join_lists(starts, sizes)
        pieces.append(text.encode())
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    return pieces


def _plan_tensors(heads: Sequence[ChunkHead], shown: Sequence[Piece]) -> list[Piece] | str:
    starts = [head.start for head in heads]
    head_pieces: list[Piece] = [b'{"outputs":[']
    data: list[Piece] = []
    for number, first in enumerate(heads[0].outputs):
        parts = [head.outputs[number] for head in heads]
        if any(_describe_row(part) != _describe_row(first) for part in parts):
            return f"rows of output {first.name!r} are not all of one shape"
        sizes = [part.size for part in parts]
        shape = [sum(part.shape[0] for part in parts), *first.shape[1:]]
        entry: dict[str, Any] = {"name": first.name, "datatype": first.datatype, "shape": shape}
        if number:
            head_pieces.append(b",")
        if first.is_text:
            entry["parameters"] = {"keys": first.keys}
            head_pieces += (write_arrays(entry)[:-1] + b',"data":[', *_join_lists(starts, sizes), b"]}")
        else:
            head_pieces.append(write_arrays(entry | {"parameters": {"binary_data_size": sum(sizes)}}))
            data += map(ChunkPiece, range(len(heads)), starts, sizes)
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    head_pieces.append(b"]")
    if shown and measure_pieces(shown) <= MOST_SHOWN_BYTES:
        head_pieces += (b',"result":', *shown)
    head_pieces.append(b"}")
    before, behind = frame_head(measure_pieces(head_pieces))
    return [before, *head_pieces, behind, *data]


def _describe_row(output: ChunkOutput) -> object:
    return output.name, output.datatype, output.shape[1:], output.is_text, output.keys


def _join_lists(starts: Sequence[int], sizes: Sequence[int]) -> Iterator[Piece]:
    """Returns the insides of lists, one of each chunk, with commas between."""
    for chunk, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if chunk:
            yield b","
        yield ChunkPiece(chunk, start, size)
