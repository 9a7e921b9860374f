"""Which bodies tell with their begin whether they are valid."""

import sys
from pathlib import Path

import numpy as np
import pytest

from inferq.proxy.services.requests.body_begin import BEGIN_BYTES, extend_begin, tells_validity
from inferq.tensors.envelope import write_envelope
from inferq.tensors.envelope_codec import describe_file, describe_tensor
from tests.tensors import make_npy, make_npz

NUMBERS = np.zeros((60_000, 4), np.float32)
NPY = make_npy(NUMBERS)
FLAGS = make_npy(NUMBERS > 0)
PNG = b"\x89PNG" + bytes(500_000)


def envelope(*inputs):
    return write_envelope({"inputs": [entry for entry, _ in inputs]}, [data for _, data in inputs])


def file(data, name="x"):
    return describe_file(name, "image/png", len(data)), data


def tensor(datatype, data, name="y"):
    return describe_tensor(name, datatype, [1], len(data)), data


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NPY, True),
        (FLAGS, False),
        (make_npy(np.full(60_000, "text")), False),
        (NPY[:6] + rb"\9" + NPY[7:], True),  # damaged, as the check will say
        (PNG, True),
        (make_npz({"x": NUMBERS}), False),
        (b"[" + b"1," * 200_000 + b"1]", False),
        (bytes(400_000), False),
        (envelope(file(PNG), tensor("FP32", bytes(400_000))), True),
        (envelope(file(NPY)), True),
        (envelope(file(FLAGS)), False),
        (envelope(tensor("FP32", bytes(400_000)), file(PNG)), False),
        (envelope(tensor("FP32", bytes(40)), file(PNG)), True),
        (envelope(tensor("BOOL", bytes(400_000))), False),
        (envelope(tensor("BYTES", bytes(400_000))), False),
        (b"\x93INFERQ\x01" + bytes(400_000), True),
        (write_envelope({"inputs": [], "x": "y" * BEGIN_BYTES}, [bytes(100_000)]), False),
        (write_envelope({"inputs": [{"name": "x", "data": [1]}]}, [bytes(400_000)]), True),
    ],
)
def test_begin_tells_validity_where_nothing_else_is_checked(body, expected):
    begin = body[:BEGIN_BYTES]
    assert tells_validity(extend_begin(begin, len(body)), len(begin)) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="What is resident is read from /proc.")
def test_what_follows_a_begin_takes_no_memory():
    before = read_resident()
    payload = extend_begin(b"begin", 1 << 33)
    assert (len(payload), bytes(payload[:8]), payload[-1]) == (1 << 33, b"begin\0\0\0", 0)
    assert read_resident() - before < 1 << 24


def read_resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
