import io

import numpy as np
import pytest

from inferq.proxy.http.bodies.form_body import FormPart
from inferq.proxy.services.requests.parsing_work import measure_form_work, measure_work
from inferq.tensors.envelope import write_envelope
from tests.pictures import encode

ZEROS = np.zeros((1, 1_000_000), np.float32)
TEXTS = np.array(["a" * 100] * 1000)


def save(write, *arrays, **named):
    file = io.BytesIO()
    write(file, *arrays, **named)
    return file.getvalue()


def envelope_of(datatype, data, **parameters):
    entry = {"name": "x", "datatype": datatype, "shape": [1, len(data)]}
    return write_envelope(
        {"inputs": [entry | {"parameters": {"binary_data_size": len(data), **parameters}}]}, [data]
    )


@pytest.mark.parametrize(
    "payload", [save(np.save, ZEROS), envelope_of("UINT8", bytes(100_000)), encode(np.zeros((300, 300, 3)))]
)
def test_of_numbers_and_pictures_hardly_anything_is_looked_at(payload):
    assert measure_work(payload) < 300


@pytest.mark.parametrize(
    "payload",
    [
        save(np.save, TEXTS),
        save(np.savez, x=ZEROS),
        envelope_of("BYTES", bytes(100_000)),
        envelope_of("UINT8", bytes(100_000), content_type="application/x-npy"),
        envelope_of("BYTES", bytes(100_000)).replace(b"BYTES", rb"\u0042YTES"),
        b"[" * 100_000,
    ],
)
def test_texts_and_archives_are_looked_at_as_a_whole(payload):
    assert measure_work(payload) >= len(payload)


def test_of_a_compressed_archive_what_it_unpacks_to_counts():
    archive = save(np.savez_compressed, x=ZEROS)
    assert len(archive) < 10_000
    assert measure_work(archive) > 4_000_000


@pytest.mark.parametrize("payload", [b"PK\3\4", b"\x93NUMPY\1\0", save(np.savez, x=TEXTS)[:-30]])
def test_what_is_damaged_is_refused_without_work(payload):
    assert measure_work(payload) == 0


def test_of_a_form_json_and_archives_count():
    parts = [
        FormPart("a", False, "application/json", memoryview(b"[1]")),
        FormPart("b", True, "", memoryview(save(np.savez, x=ZEROS))),
        FormPart("c", True, "application/octet-stream", memoryview(bytes(100_000))),
        FormPart("d", True, "application/x-npy", memoryview(save(np.save, ZEROS))),
    ]
    assert measure_form_work(parts) == 3 + measure_work(parts[1].data)
