"""The result of a job that is kept as tensors: an envelope whose head says which outputs follow."""

from dataclasses import dataclass
from math import prod
from typing import Any

from pydantic_core import to_json

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import HEAD_START, read_head, read_lengths
from inferq.tensors.envelope_codec import read_list, read_name, read_size
from inferq.tensors.nested_arrays import nest
from inferq.tensors.raw_tensors import read_datatype, read_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import list_all_values
from inferq.tensors.values import ITEM_BYTES, Buffer, RawTensor

MOST_SHOWN_BYTES = 16 * 1024
"""Tensors of more are not shown with their job: as JSON they would be three times as long."""
_MOST_VIEW_BYTES = 64 * 1024
"""Of their JSON, as of any result that is read with its job; `false` is six times as long as its byte."""
MOST_VALUES = 2**24
"""Of an empty tensor, were its empty axes of length 1: nested arrays of more would fill the memory."""


@dataclass(frozen=True, slots=True)
class OutputEntry:
    """One output in a result.

    Attributes:
        name: Its name.
        datatype: Type of its values; of a sequence or a map, of the values in it.
        shape: Length of each axis.
        start: Where its bytes begin in the envelope.
        size: How many there are; None where its values stand in the head, as of what is no tensor.
        values: These values, as JSON has them.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    start: int = 0
    size: int | None = None
    values: Any = None

    @property
    def shown_bytes(self) -> int:
        """How many bytes its values have, as they are kept."""
        return len(to_json(self.values)) if self.size is None else self.size


@dataclass(frozen=True, slots=True)
class ResultHead:
    """What the head of a result says.

    Attributes:
        outputs: The outputs, in order.
        shown: JSON of the result as `GET /job/{id}` shows it; empty where it shows the outputs.
        length: How long the whole envelope is, bytes.
    """

    outputs: tuple[OutputEntry, ...]
    shown: bytes
    length: int


def measure_head(first_bytes: Buffer) -> int:
    """Returns how many of a result's first bytes `read_result_head` needs.

    Raises:
        InvalidInputError: It is damaged.
    """
    return read_lengths(first_bytes)[0]


def read_result_head(first_bytes: Buffer) -> ResultHead:
    """Reads what an envelope says of its outputs.

    Args:
        first_bytes: As many as `measure_head` says, or more.

    Raises:
        InvalidInputError: It is damaged.
    """
    end, start = read_lengths(first_bytes)
    head = read_head(memoryview(first_bytes)[HEAD_START:end])
    outputs = []
    for number, entry in enumerate(read_list(head, "outputs")):
        name = read_name(entry, f"outputs[{number}]")
        datatype, shape = read_datatype(entry.get("datatype"), name), read_shape(entry.get("shape"), name)
        size = read_size(entry, name)
        if prod(max(length, 1) for length in shape) > MOST_VALUES and 0 in shape:
            raise InvalidInputError(f"The output {name!r} has no values, but a shape of too many arrays.")
        if size is not None and datatype in ITEM_BYTES and size != prod(shape) * ITEM_BYTES[datatype]:
            raise InvalidInputError(
                f"The output {name!r} has {size:,} bytes, which are not those of its shape."
            )
        outputs.append(OutputEntry(name, datatype, shape, start, size, entry.get("data")))
        start += size or 0
    shown = to_json(head["result"], inf_nan_mode="null") if "result" in head else b""
    return ResultHead(tuple(outputs), shown, start)


def check_length(head: ResultHead, length: int) -> None:
    """Refuses a result that is not as long as its head says.

    Args:
        head: What its head says.
        length: How long it is, bytes.

    Raises:
        InvalidInputError: It is shorter or longer.
    """
    if head.length != length:
        raise InvalidInputError(f"The result has {length:,} bytes, but its head promises {head.length:,}.")


def write_result_view(envelope: bytes, href: str) -> bytes:
    """Returns the JSON of a whole result, as `GET /job/{id}` shows it.

    Args:
        envelope: All of it.
        href: Where the result can be read, for one that is too long to be shown.

    Raises:
        InvalidInputError: It is damaged.
    """
    head = read_result_head(envelope)
    check_length(head, len(envelope))
    shown_bytes = sum(output.shown_bytes for output in head.outputs)
    empty_arrays = sum(_count_empty_arrays(output.shape) for output in head.outputs)
    if head.shown or shown_bytes > MOST_SHOWN_BYTES or 2 * empty_arrays > _MOST_VIEW_BYTES:
        return write_summary(head, href)
    outputs = {output.name: _list_output(output, memoryview(envelope)) for output in head.outputs}
    view = to_json({"outputs": outputs}, inf_nan_mode="null")
    return view if len(view) <= _MOST_VIEW_BYTES else write_summary(head, href)


def write_summary(head: ResultHead, href: str) -> bytes:
    """Returns the JSON that stands for a result: its own, or datatype, shape and length of each output."""
    if head.shown:
        return head.shown
    outputs = {
        output.name: {
            "datatype": output.datatype,
            "shape": output.shape,
            "bytes": output.shown_bytes,
        }
        for output in head.outputs
    }
    return to_json({"outputs": outputs, "href": href})


def _count_empty_arrays(shape: tuple[int, ...]) -> int:
    """Returns how many empty arrays the JSON of a tensor without values has."""
    return prod(shape[: shape.index(0)]) if 0 in shape else 0


def _list_output(output: OutputEntry, envelope: memoryview) -> Any:  # noqa: ANN401 - any JSON value
    if output.size is None:
        return output.values
    data = envelope[output.start : output.start + output.size]
    return nest(list_all_values(RawTensor(output.datatype, output.shape, data)), output.shape)
