"""Strings that are no UTF-8 as values of ONNX Runtime, and back.

ONNX Runtime's Python interface makes a string tensor of text alone, and gives only text back. Two graphs of
ONNX's own operators do what it lacks: one picks strings out of a tensor, by default out of all that have one
byte; the other joins neighbours along the last axis. A string that is no text comes out of the first one as
the error that says so, which has its bytes.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from inferq.models.onnx_files.protobuf_writer import write_bytes, write_number

_STRING, _INT64 = 8, 7
_EMPTY = 256
"""Index of the empty string behind those of one byte."""


def make_text_value(texts: npt.NDArray[Any]) -> ort.OrtValue:
    """Returns strings as a value of ONNX Runtime.

    Args:
        texts: Strings as Python has them; a byte that is no UTF-8 as `surrogateescape` has it.
    """
    values = [text.encode("utf-8", "surrogateescape") for text in texts.reshape(-1)]
    width = 1 << max(1, max(map(len, values), default=1) - 1).bit_length()
    codes = np.full((len(values), width), _EMPTY, np.int64)
    for row, value in zip(codes, values, strict=True):
        row[: len(value)] = np.frombuffer(value, np.uint8)
    joined = _pick(None, codes)
    for _ in range(width.bit_length() - 1):
        [joined] = _open_join().run_with_ort_values(None, {"x": joined})
    return _pick(joined, np.arange(len(values), dtype=np.int64).reshape(texts.shape))


def read_text_value(value: ort.OrtValue) -> npt.NDArray[Any]:
    """Returns the strings of a value as `make_text_value` takes them."""
    try:
        array: npt.NDArray[Any] = value.numpy()
    except UnicodeDecodeError:
        array = np.empty(value.shape(), np.object_)
        array.reshape(-1)[:] = [*_read_each(value, array.size)]
    return array


def _read_each(value: ort.OrtValue, count: int) -> Iterator[str]:
    for index in range(count):
        try:
            [text] = _open_pick().run(None, {"x": value, "i": np.array(index, np.int64)})
            yield text.item()
        except UnicodeDecodeError as error:
            yield error.object.decode("utf-8", "surrogateescape")


def _pick(value: ort.OrtValue | None, indices: npt.NDArray[Any]) -> ort.OrtValue:
    feeds = {"i": ort.OrtValue.ortvalue_from_numpy(indices)}
    [picked] = _open_pick().run_with_ort_values(None, feeds | ({} if value is None else {"x": value}))
    return picked


@cache
def _open_pick() -> ort.InferenceSession:
    table = b"".join(write_bytes(6, bytes([code])) for code in range(256)) + write_bytes(6, b"")
    return _open(
        [("Reshape", ["x", "flat"], ["all"]), ("Gather", ["all", "i"], ["y"])],
        {"x": _STRING, "i": _INT64},
        [
            write_number(1, _EMPTY + 1) + write_number(2, _STRING) + table + write_bytes(8, b"x"),
            _write_integers("flat", [-1]),
        ],
    )


@cache
def _open_join() -> ort.InferenceSession:
    starts_and_steps = {"zero": 0, "one": 1, "two": 2, "last": -1, "end": 2**62}
    return _open(
        [
            ("Slice", ["x", "zero", "end", "last", "two"], ["left"]),
            ("Slice", ["x", "one", "end", "last", "two"], ["right"]),
            ("StringConcat", ["left", "right"], ["y"]),
        ],
        {"x": _STRING},
        [_write_integers(name, [number]) for name, number in starts_and_steps.items()],
    )


def _open(
    nodes: list[tuple[str, list[str], list[str]]], inputs: dict[str, int], constants: list[bytes]
) -> ort.InferenceSession:
    graph = b"".join(
        (
            *(write_bytes(1, _write_node(*node)) for node in nodes),
            write_bytes(2, b"text"),
            *(write_bytes(5, constant) for constant in constants),
            *(write_bytes(11, _write_value(name, kind)) for name, kind in inputs.items()),
            write_bytes(12, _write_value("y", _STRING)),
        )
    )
    model = write_number(1, 9) + write_bytes(7, graph) + write_bytes(8, write_number(2, 20))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _write_node(operator: str, inputs: list[str], outputs: list[str]) -> bytes:
    names = [*((1, name) for name in inputs), *((2, name) for name in outputs), (4, operator)]
    return b"".join(write_bytes(number, name.encode()) for number, name in names)


def _write_value(name: str, kind: int) -> bytes:
    return write_bytes(1, name.encode()) + write_bytes(2, write_bytes(1, write_number(1, kind)))


def _write_integers(name: str, numbers: list[int]) -> bytes:
    values = b"".join(write_number(7, number) for number in numbers)
    return write_number(1, len(numbers)) + write_number(2, _INT64) + values + write_bytes(8, name.encode())
