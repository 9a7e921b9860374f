"""Answers of the Open Inference Protocol, made of what workers store as results, without NumPy."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

from pydantic_core import to_json

from inferq.errors import InvalidInputError
from inferq.proxy.http.inference_protocol import InferenceOptions, OutputWish
from inferq.tensors.listed_outputs import make_listed_tensors
from inferq.tensors.result_tensors import OutputEntry, ResultHead, describe_output
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import list_all_values, pack_values
from inferq.tensors.values import Buffer, RawTensor


class InferenceAnswer(NamedTuple):
    """An answer.

    Attributes:
        head: The JSON.
        data: The bytes of tensors behind it; None where the JSON is all of the answer.
    """

    head: bytes
    data: Sequence[Buffer] | None


def write_binary_head(head: ResultHead, options: InferenceOptions, members: dict[str, Any]) -> bytes | None:
    """Returns the JSON of an answer whose tensors follow it as they are stored; None for any other answer.

    Args:
        head: What the head of the result says.
        options: What the request asks for.
        members: What else the answer says, as its `model_name`.
    """
    if options.outputs:
        wanted = [wish.name for wish in options.outputs if wish.is_binary and not wish.classes]
        is_as_stored = len(wanted) == len(options.outputs) and wanted == [one.name for one in head.outputs]
    else:
        is_as_stored = options.is_binary
    if not is_as_stored or not head.outputs or any(output.size is None for output in head.outputs):
        return None
    return to_json({**members, "outputs": [describe_output(output) for output in head.outputs]})


def write_answer(
    envelope: bytes,
    head: ResultHead,
    options: InferenceOptions,
    members: dict[str, Any],
    class_names: Sequence[str] = (),
) -> InferenceAnswer:
    """Makes an answer of any kind.

    Args:
        envelope: The whole result.
        head: What its head says.
        options: What the request asks for.
        members: What else the answer says.
        class_names: Names of the model's classes, by index.

    Raises:
        InvalidInputError: An output cannot be answered in the way that is asked for.
    """
    stored: dict[str, list[OutputEntry]] = {}
    for output in head.outputs:
        stored.setdefault(output.output, []).append(output)
    entries: list[dict[str, Any]] = []
    data: list[Buffer] = []
    for wish in options.outputs or [OutputWish(name, options.is_binary) for name in stored]:
        for output in stored.get(wish.name, ()):
            for described, values in _read_values(output, envelope):
                if values is None:
                    entries.append(_describe(described, {"data": described.values}))
                    continue
                tensor = RawTensor(described.datatype, described.shape, values)
                if wish.classes and described.name == output.name:
                    texts = _classify(tensor, wish, class_names)
                    entries.append(_add_texts(described, wish, texts, data))
                elif wish.is_binary:
                    entries.append(describe_output(described))
                    data.append(values)
                else:
                    entries.append(_describe(described, {"data": list_all_values(tensor)}))
    return InferenceAnswer(to_json({**members, "outputs": entries}, inf_nan_mode="null"), data or None)


def _read_values(output: OutputEntry, envelope: bytes) -> list[tuple[OutputEntry, Buffer | None]]:
    """Returns what is answered for an output, with the values of each; None where JSON alone has them."""
    if output.size is not None:
        return [(output, memoryview(envelope)[output.start : output.start + output.size])]
    listed = make_listed_tensors(output)
    if not output.values or listed is None:  # absent, an empty sequence, or unlike any tensor
        return [(output, None)]
    return [
        (OutputEntry(name, tensor.datatype, tensor.shape, 0, len(tensor.data)), tensor.data)
        for name, tensor in listed.items()
    ]


def _describe(output: OutputEntry, rest: dict[str, Any]) -> dict[str, Any]:
    about = {"parameters": {"sequence": output.sequence}} if output.sequence else {}
    return {"name": output.name, "datatype": output.datatype, "shape": output.shape, **about, **rest}


def _classify(tensor: RawTensor, wish: OutputWish, class_names: Sequence[str]) -> list[str]:
    """Names the classes with the largest values along the last axis: `value:index`, and `:name` if known."""
    if not tensor.shape or tensor.datatype in (Datatype.BOOL, Datatype.BYTES):
        raise InvalidInputError(
            f"Output {wish.name!r} ({tensor.datatype}, shape {list(tensor.shape)}) has no numbers along an "
            "axis of classes. Ask for it without classification."
        )
    width = tensor.shape[-1]
    names = class_names if len(class_names) == width else ()
    values = list_all_values(tensor)
    texts = []
    for first in range(0, prod(tensor.shape), max(width, 1)):
        row = values[first : first + width]
        for index in heapq.nlargest(wish.classes, range(width), key=lambda index: _rank(row[index])):
            label = f":{names[index]}" if names else ""
            texts.append(f"{row[index]}:{index}{label}")
    return texts


def _rank(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _add_texts(output: OutputEntry, wish: OutputWish, texts: list[str], data: list[Buffer]) -> dict[str, Any]:
    """Describes texts that stand for an output, and adds them to the bytes if they go there."""
    width = output.shape[-1]
    shape = (*output.shape[:-1], min(wish.classes, width))
    described = OutputEntry(output.name, Datatype.BYTES, shape, sequence=output.sequence)
    if not wish.is_binary:
        return _describe(described, {"data": texts})
    encoded = pack_values(Datatype.BYTES, texts)
    data.append(encoded)
    return describe_output(replace(described, size=len(encoded)))
