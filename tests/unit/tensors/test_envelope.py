import struct

import pytest

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import read_envelope, write_envelope
from inferq.tensors.forms import JSON, detect_form


def test_what_is_written_is_read_again_and_its_data_is_aligned():
    payload = write_envelope({"inputs": [{"name": "x"}]}, [b"\1\2", memoryview(b"\3")])
    read = read_envelope(payload)
    assert read == ({"inputs": [{"name": "x"}]}, b"\1\2\3")
    assert (len(payload) - len(read.data)) % 64 == 0
    assert detect_form(payload) is not JSON


@pytest.mark.parametrize("size", range(0, 140, 7))
def test_head_of_any_length_is_followed_by_its_data(size):
    assert read_envelope(write_envelope({"a": "x" * size}, [b"data"])) == ({"a": "x" * size}, b"data")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x93INF", "ends within its first bytes"),
        (b"\x93NUMPY\x01" + bytes(60), "does not begin as one"),
        (struct.pack("<7sBII", b"\x93INFERQ", 9, 2, 64) + b"{}".ljust(48), "version 9"),
        (struct.pack("<7sBII", b"\x93INFERQ", 1, 99, 64) + b"{}".ljust(48), "do not fit"),
        (struct.pack("<7sBII", b"\x93INFERQ", 1, 2, 128) + b"{}".ljust(48), "do not fit"),
        (struct.pack("<7sBII", b"\x93INFERQ", 1, 2, 64) + b"{]".ljust(48), "is no JSON: "),
        (struct.pack("<7sBII", b"\x93INFERQ", 1, 2, 64) + b"[]".ljust(48), "no JSON object"),
    ],
)
def test_damaged_envelope_is_refused_with_the_reason(payload, reason):
    with pytest.raises(InvalidInputError, match=reason):
        read_envelope(payload)
