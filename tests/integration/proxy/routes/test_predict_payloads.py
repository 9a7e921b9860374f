"""Bodies of `POST /predict` in all forms but plain JSON."""

import asyncio
import gzip
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from inferq.jobs import WorkerInfo
from inferq.tensors.envelope import read_envelope
from inferq.tensors.forms import MEDIA_TYPES
from tests.integration.proxy.transport.test_fast_protocol import Connection
from tests.models import load_models
from tests.onnx_models import write_two_by_two
from tests.unit.tensors.arrays import save

ROWS = np.array([[5.1, 3.5, 1.4, 0.2]], "f4")
NPY = save(ROWS)
LARGE = save(np.zeros((6000, 4), "f4"))
ENVELOPE_HEAD = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}]
}


def typed(media_type):
    return {"Content-Type": media_type}


def stored(redis_client, answer):
    assert answer.status_code == 202, answer.text
    return redis_client.get(f"job:{answer.json()['job_id']}:data")


def kind_of(answer):
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@pytest.fixture
def two_by_two(consumer, tmp_path):
    model = load_models(write_two_by_two(tmp_path / "two").parent)["two"]
    consumer.announce({"two": model.document.to_json()})
    return model


@pytest.mark.parametrize("body", [NPY, LARGE])
@pytest.mark.parametrize(
    "headers", [typed("application/x-npy"), typed("application/x-www-form-urlencoded"), {}]
)
async def test_array_is_stored_as_it_came(client, announced, redis_client, body, headers):
    answer = await client.post("/predict?model=iris&priority=high&timeout=5", content=body, headers=headers)
    assert stored(redis_client, answer) == body
    assert redis_client.llen("queue:iris:high") == 1


@pytest.mark.parametrize("values", [ROWS, np.zeros((6000, 4), "f4")])
@pytest.mark.parametrize("coding", [None, "gzip"])
async def test_raw_tensor_becomes_an_envelope(client, announced, redis_client, values, coding):
    body, headers = values.tobytes(), typed("application/octet-stream")
    if coding:
        body, headers = gzip.compress(body), headers | {"Content-Encoding": coding}
    head, data = read_envelope(
        stored(redis_client, await client.post("/predict", content=body, headers=headers))
    )
    assert head["inputs"][0]["shape"] == list(values.shape)
    assert data == values.tobytes()


async def test_raw_tensor_of_unknown_length_is_taken(client, announced, redis_client):
    async def parts():
        yield ROWS.tobytes()
        yield ROWS.tobytes()

    answer = await client.post("/predict", content=parts(), headers=typed("application/octet-stream"))
    assert read_envelope(stored(redis_client, answer)).head["inputs"][0]["shape"] == [2, 4]


async def test_raw_tensor_that_does_not_fit_is_refused_before_it_is_sent(proxy, announced):
    async with Connection.to(proxy) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        await connection.send(head + b"Content-Length: 15000001\r\n\r\n")
        async with asyncio.timeout(60):
            assert b" 422 " in await connection.reader.readline()


async def test_form_has_a_part_for_each_input_and_one_for_options(client, two_by_two, redis_client):
    files = {
        "count": ("count.npy", save(np.ones((1, 3), "i8"))),
        "price": ("price.bin", np.ones((1, 3)).tobytes(), "application/octet-stream"),
        "options": (None, json.dumps({"model": "two", "priority": "low"})),
    }
    payload = stored(redis_client, await client.post("/predict", files=files))
    entries = read_envelope(payload).head["inputs"]

    assert [entry["name"] for entry in entries] == ["count", "price"]
    assert redis_client.llen("queue:two:low") == 1


async def test_form_of_json_parts_is_stored_as_json(client, two_by_two, redis_client):
    long = json.dumps([[1.25, 2.5, 3]] * 9000)
    files = {"count": (None, json.dumps([[1, 2, 3]] * 9000)), "price": (None, long)}
    payload = stored(redis_client, await client.post("/predict?model=two", files=files))
    assert json.loads(payload)["price"] == json.loads(long)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x": (None, "[[1]]")}, "part \"x\", which is no input of model 'two'"),
        ({"count": (None, "[[1, 2, 3]]")}, "lacks the input 'price'"),
        ({"options": (None, '{"model": "two", "model": "two"}')}, "'model' twice"),
        ({"options": (None, '{"priority": "high"}')}, "both in the query and in the part"),
        ({"options": (None, '{"data": []}')}, "unknown member 'data'"),
        ({"options": (None, '{"shape": [1]}')}, "unknown member 'shape'"),
        ({"options": (None, "[]")}, "must be a JSON object"),
    ],
)
async def test_form_that_does_not_fit_is_refused(client, two_by_two, files, message):
    answer = await client.post("/predict?model=two&priority=low", files=files)
    assert answer.status_code in (400, 422)
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "body", "media_type", "expected"),
    [
        ("", b"x", "text/csv", (415, "unsupported-media-type")),
        ("", NPY, "image/png", (422, "invalid-input")),
        ("", NPY, "application/json", (400, "invalid-json")),
        ("", NPY[:60], "application/x-npy", (422, "invalid-input")),
        ("", NPY + b"x", "application/x-npy", (422, "invalid-input")),
        ("", save(ROWS.astype("f8")), "application/x-npy", (422, "invalid-input")),
        ("", save(ROWS[:, :3]), "application/x-npy", (422, "invalid-input")),
        ("", b"\xff\xd8\xff" + bytes(99), "image/jpeg", (422, "invalid-input")),
        ("?model=irsi", NPY, "application/x-npy", (422, "unknown-model")),
        ("?modle=iris", NPY, "application/x-npy", (422, "invalid-input")),
        ("?model=iris&model=iris", NPY, "application/x-npy", (422, "invalid-input")),
        ("?priority=urgent", NPY, "application/x-npy", (422, "invalid-input")),
        ("?timeout=0", NPY, "application/x-npy", (422, "invalid-input")),
        ("?shape=1,4", NPY, "application/x-npy", (422, "invalid-input")),
        ("", b"{}", "multipart/form-data; boundary=b", (422, "invalid-input")),
        ("", b"", "application/octet-stream", (422, "invalid-input")),
    ],
)
async def test_body_that_does_not_fit_is_refused(
    client, announced, redis_client, query, body, media_type, expected
):
    if not body:
        body, query = b"", "?shape=1,4"
    answer = await client.post(f"/predict{query}", content=body, headers=typed(media_type))
    assert kind_of(answer) == expected
    assert not redis_client.keys("job:*")


async def test_model_of_a_json_body_may_be_named_by_the_query(client, announced, two_by_two):
    data = {"count": [[1, 2, 3]], "price": [[1, 2, 3]]}
    assert (await client.post("/predict?model=two", json={"data": data})).status_code == 202
    assert (await client.post("/predict?model=two", json={"data": data, "model": "two"})).status_code == 202
    for query in ("model=iris", "priority=high", "model=two&priority=high"):
        answer = await client.post(f"/predict?{query}", json={"data": data, "model": "two"})
        assert kind_of(answer) == (422, "invalid-input"), query


async def test_repeated_request_is_recognised_by_its_bytes_and_options(client, announced):
    headers = typed("application/x-npy") | {"Idempotency-Key": "a"}
    answers = [
        await client.post(path, content=body, headers=headers)
        for path, body in (
            ("/predict", LARGE),
            ("/predict?model=iris", LARGE),
            ("/predict?priority=low", LARGE),
            ("/predict", NPY),
        )
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 422, 422]
    assert answers[0].json() == answers[1].json()


async def test_form_that_a_live_worker_does_not_read_is_refused(client, announced, consumer):
    def beat(*forms):
        for worker_id, read in zip(("w1", "w2"), forms, strict=False):
            now = datetime.now(UTC)
            consumer.heartbeat(WorkerInfo(worker_id, "host", 1, ("iris",), now, forms=read), {}, 60.0)

    beat(MEDIA_TYPES, ())
    encoded = {"b64": "AAAAAAAAAAAAAAAAAAAAAA==", "datatype": "FP32", "shape": [1, 4]}
    for options in (
        {"content": NPY, "headers": typed("application/x-npy")},
        {"content": ROWS.tobytes(), "headers": typed("application/octet-stream")},
        {"json": {"data": encoded}},
    ):
        answer = await client.post("/predict", **options)
        assert kind_of(answer) == (503, "model-unavailable")
        assert answer.headers["retry-after"] == "60"
    assert (await client.post("/predict", json={"data": ROWS.tolist()})).status_code == 202


async def test_only_json_is_taken_for_a_model_of_which_nothing_is_known(client):
    answer = await client.post("/predict", content=NPY)
    assert kind_of(answer) == (503, "no-worker")
    assert (await client.post("/predict", json={"data": [[1.0]]})).status_code == 202
