import json
import struct

import pytest

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import (
    MOST_REFERENCE_BYTES,
    is_reference,
    read_envelope,
    read_reference,
    write_begin,
    write_envelope,
    write_reference,
)
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


@pytest.mark.parametrize("size", range(0, 140, 7))
def test_head_and_data_without_a_gap_become_an_envelope_behind_its_begin(size):
    head = json.dumps({"a": "x" * size}).encode()
    payload = write_begin(len(head)) + head + b"data"
    assert read_envelope(payload) == ({"a": "x" * size}, b"data")
    assert payload.index(b"data") % 64 == 0


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


def test_reference_tells_where_a_payload_lies_how_long_it_is_and_of_which_form():
    payload = b"\x93NUMPY" + bytes(1000)
    stored = write_reference("4f/data/0123456789abcdef", payload, "5" * 16)
    assert is_reference(stored)
    assert len(stored) <= MOST_REFERENCE_BYTES
    reference = read_reference(stored)
    assert reference == ("4f/data/0123456789abcdef", 1006, "5" * 16, payload[:64])
    assert detect_form(reference.begin) is detect_form(payload)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\x93INFERQ", write_envelope({"inputs": []})])
def test_no_payload_is_taken_for_a_reference(payload):
    assert not is_reference(payload)
    with pytest.raises(InvalidInputError):
        read_reference(payload)


@pytest.mark.parametrize(
    "head", [b"{}", b'{"key":1,"bytes":2,"store":"x"}', b'{"key":"k","bytes":-1,"store":"x"}']
)
def test_damaged_reference_is_refused(head):
    start = struct.pack("<7sBII", b"\x93INFERQ", 2, len(head), 64)
    with pytest.raises(InvalidInputError, match='"key", "bytes" and "store"'):
        read_reference((start + head).ljust(64))
