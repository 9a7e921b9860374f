"""The result of a job that is kept as tensors: an envelope whose head says which outputs follow."""

from dataclasses import dataclass
from math import prod
from typing import Any

from pydantic_core import to_json

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import HEAD_START, read_head, read_lengths
from inferq.tensors.envelope_codec import describe_tensor, read_list, read_name, read_size
from inferq.tensors.nested_arrays import describe, nest
from inferq.tensors.raw_tensors import read_datatype, read_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import list_all_values
from inferq.tensors.values import Buffer, RawTensor, count_bytes

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
        sequence: Name of the output whose entry it is; empty for an output by itself.
        keys: Type of the keys where the values are of maps.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    start: int = 0
    size: int | None = None
    values: Any = None
    sequence: str = ""
    keys: Datatype = Datatype.BYTES

    @property
    def output(self) -> str:
        """Name of the output that it is, or belongs to."""
        return self.sequence or self.name

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
        if size is not None and size != (count_bytes(datatype, prod(shape)) or size):
            raise InvalidInputError(
                f"The output {name!r} has {size:,} bytes, which are not those of its shape."
            )
        sequence, keys = _read_parameters(entry, name)
        outputs.append(OutputEntry(name, datatype, shape, start, size, entry.get("data"), sequence, keys))
        start += size or 0
    shown = to_json(head["result"], inf_nan_mode="null") if "result" in head else b""
    return ResultHead(tuple(outputs), shown, start)


def describe_output(output: OutputEntry) -> dict[str, Any]:
    """Returns the entry of an output whose bytes follow the head, as the head has it."""
    entry = describe_tensor(output.name, output.datatype, output.shape, output.size)
    if output.sequence:
        entry["parameters"]["sequence"] = output.sequence
    return entry


def _read_parameters(entry: dict[str, Any], name: str) -> tuple[str, Datatype]:
    parameters = entry.get("parameters") or {}
    sequence = parameters.get("sequence", "")
    if not isinstance(sequence, str):
        raise InvalidInputError(f"The output {name!r} names no sequence, but {describe(sequence)}.")
    return sequence, read_datatype(parameters.get("keys", Datatype.BYTES), name)


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
    outputs: dict[str, Any] = {}
    for output in head.outputs:
        try:
            values = _list_output(output, memoryview(envelope))
        except InvalidInputError:  # strings that are no text
            return write_summary(head, href)
        if output.sequence:
            outputs.setdefault(output.sequence, []).append(values)
        else:
            outputs[output.name] = values
    view = to_json({"outputs": outputs}, inf_nan_mode="null")
    return view if len(view) <= _MOST_VIEW_BYTES else write_summary(head, href)


def write_summary(head: ResultHead, href: str) -> bytes:
    """Returns the JSON that stands for a result: its own, or datatype, shape and length of each output."""
    if head.shown:
        return head.shown
    outputs: dict[str, Any] = {}
    for output in head.outputs:
        about = {"datatype": output.datatype, "shape": output.shape, "bytes": output.shown_bytes}
        if output.sequence:
            outputs.setdefault(output.sequence, []).append(about)
        else:
            outputs[output.name] = about
    return to_json({"outputs": outputs, "href": href})


def _count_empty_arrays(shape: tuple[int, ...]) -> int:
    """Returns how many empty arrays the JSON of a tensor without values has."""
    return prod(shape[: shape.index(0)]) if 0 in shape else 0


def _list_output(output: OutputEntry, envelope: memoryview) -> Any:  # noqa: ANN401 - any JSON value
    if output.size is None:
        return output.values
    data = envelope[output.start : output.start + output.size]
    return nest(list_all_values(RawTensor(output.datatype, output.shape, data)), output.shape)
