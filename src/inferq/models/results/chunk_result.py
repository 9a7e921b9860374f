"""The result of a chunk: what becomes part of its job's result, each piece where it can be found.

An envelope whose head says what follows: the bytes of each output, for a job whose result is tensors; then
the insides of the lists of its JSON, as far as the result has any.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from inferq.errors import InvalidInputError
from inferq.models.arrays import Array, MapRows, make_jsonable
from inferq.models.raw_arrays import view_bytes
from inferq.models.results.classifier_encoder import MEMBERS
from inferq.models.results.encoders import Outputs
from inferq.models.results.json_lists import JsonLists, find_lists
from inferq.models.results.tensor_result import MOST_SHOWN_BYTES, find_key_type
from inferq.tensors.envelope import HEAD_START, read_head, read_lengths, write_envelope
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import Tensor
from inferq.tensors.values import PACKED, Buffer


class ChunkOutput(BaseModel):
    """One output of a chunk.

    Attributes:
        name: Its name.
        datatype: Type of its values.
        shape: Length of each axis; of a table of maps the number of its rows alone.
        size: How many bytes it has here.
        is_text: Whether they are JSON, the inside of a list: it is no tensor.
        keys: Type of the keys of its maps, where it is a table of these.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: str
    shape: list[NonNegativeInt]
    size: NonNegativeInt
    is_text: bool = False
    keys: str = ""


class ChunkHead(BaseModel):
    """What a chunk's result says of itself.

    Attributes:
        outputs: Its outputs, for a job whose result is tensors.
        around: What is before, between and behind the lists of its JSON; none where it has no JSON.
        lists: How many bytes the inside of each of these lists has.
        obstacle: Why it cannot be put together with others, as a clause; then it has nothing else.
        start: Where the first of these bytes is.
    """

    model_config = ConfigDict(frozen=True)

    outputs: tuple[ChunkOutput, ...] = ()
    around: tuple[str, ...] = ()
    lists: tuple[NonNegativeInt, ...] = ()
    obstacle: str = ""
    start: NonNegativeInt = 0


def write_chunk_result(
    outputs: Outputs, rows: int, tensors: Sequence[Tensor], shown: bytes | None, *, is_json: bool
) -> bytes:
    """Writes the result of a chunk.

    Args:
        outputs: What the run gave.
        rows: How many rows the chunk has, two or more.
        tensors: The outputs that the job asks for, in order.
        shown: The JSON of the chunk's result; None where that is the outputs, and the job's result tensors.
        is_json: Whether the result of the job is to be JSON.
    """
    entries: list[ChunkOutput] = []
    data: list[Buffer] = []
    for tensor in () if is_json else tensors:
        array = outputs[tensor.name]
        if array.shape[:1] != (rows,):
            return _refuse(f"output {tensor.name!r} has not one entry for each row")
        if tensor.datatype in PACKED:
            return _refuse(f"values of output {tensor.name!r} share bytes ({tensor.datatype})")
        raw = (
            write_arrays(make_jsonable(array, "string"))[1:-1]
            if _is_table(array)
            else view_bytes(array, tensor.datatype)
        )
        size, shape = memoryview(raw).nbytes, list(array.shape[:1] if _is_table(array) else array.shape)
        entries.append(
            ChunkOutput(
                name=tensor.name,
                datatype=tensor.datatype,
                shape=shape,
                size=size,
                is_text=_is_table(array),
                keys=find_key_type(array.keys) if isinstance(array, MapRows) else "",
            )
        )
        data.append(raw)
    found = JsonLists([], [])
    if shown is not None and (is_json or len(shown) <= MOST_SHOWN_BYTES):
        lists = _find_lists(shown, outputs, rows)
        if lists is None:
            return _refuse("its JSON has not one entry for each row")
        found = lists
        data += [memoryview(shown)[first:last] for first, last in found.spans]
    head = ChunkHead(
        outputs=tuple(entries),
        around=tuple(text.decode() for text in found.around),
        lists=tuple(last - first for first, last in found.spans),
    )
    return write_envelope(head.model_dump(exclude={"start"}), data)


def read_chunk_head(first_bytes: Buffer) -> ChunkHead:
    """Reads what a chunk's result says of itself.

    Args:
        first_bytes: As far as its head goes, see `read_lengths`, or more.

    Raises:
        InvalidInputError: It is damaged.
    """
    end, start = read_lengths(first_bytes)
    head: dict[str, Any] = read_head(memoryview(first_bytes)[HEAD_START:end])
    try:
        return ChunkHead.model_validate(head | {"start": start})
    except ValidationError as error:
        raise InvalidInputError(f"The result of a chunk cannot be read: {error}.") from error


def _find_lists(shown: bytes, outputs: Outputs, rows: int) -> JsonLists | None:
    """Finds the lists of a result's JSON; what is not the outputs the encoders have checked."""
    if shown.startswith(b'{"outputs":{'):
        if any(array.shape[:1] != (rows,) for array in outputs.values()):
            return None
        return find_lists(shown, b'{"outputs":{', list(outputs))
    return find_lists(shown, b"{", MEMBERS) if shown[:1] == b"{" else find_lists(shown)


def _refuse(reason: str) -> bytes:
    return write_envelope(ChunkHead(obstacle=reason).model_dump(exclude={"start"}))


def _is_table(array: Array) -> bool:
    return isinstance(array, MapRows) or (array.dtype == np.object_ and not array.ndim)
