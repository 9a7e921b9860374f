"""Long bodies go into the blob store while they come, and leave nothing there where they are refused."""

import asyncio
import errno
import json
import os
import socket
import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from inferq.blobs import open_store
from inferq.jobs import WorkerInfo
from inferq.proxy.http.bodies.incoming_body import IncomingBody
from inferq.proxy.services.requests import body_stream
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings
from inferq.tensors.envelope import is_reference, write_envelope
from inferq.tensors.envelope_codec import describe_file, describe_tensor
from inferq.tensors.forms import MEDIA_TYPES
from tests.integration.proxy.serving import serving
from tests.model_documents import write_document
from tests.servers import wait_until
from tests.tensors import make_npy

NPY, RAW, ENVELOPE = "application/x-npy", "application/octet-stream", "application/x-inferq"
ARRAY = np.arange(2_000_000, dtype=np.float32).reshape(-1, 4)
VALUES = ARRAY.tobytes()
HEAD = "inference-header-content-length"
DESCRIBED = describe_tensor("x", "FP32", ARRAY.shape, len(VALUES))
V2_JSON = json.dumps({"inputs": [DESCRIBED]}).encode()
PICTURE = b"\x89PNG" + bytes(range(256)) * 20_000


@pytest.fixture(scope="session")
def redis_server(valkey_server):
    """One kind of server is enough: what is tested is what comes before it."""
    return valkey_server


@pytest.fixture
def blob_url(request, tmp_path):
    """A folder; or a bucket, for tests marked `in_a_bucket`."""
    is_bucket = getattr(request, "param", "") == "bucket"
    return request.getfixturevalue("bucket_url") if is_bucket else (tmp_path / "blobs").as_uri()


in_a_bucket = pytest.mark.parametrize("blob_url", ["bucket"], indirect=True)


@pytest.fixture
def settings(redis_url, blob_url):
    return Settings(
        redis_url=redis_url,
        blob_store=blob_url,
        blob_reserve_bytes=0,
        max_body_bytes=64_000_000,
        max_rows=10_000_000,
        max_queued=3,
        redis_timeout_seconds=20.0,
    )


@pytest.fixture
def files(tmp_path):
    return lambda: [path for path in (tmp_path / "blobs").glob("??/*") if path.is_file()]


@pytest.fixture(autouse=True)
def worker(settings):
    consumer = Consumer(settings, "worker-1", ["numbers", "flags", "pictures"])
    info = WorkerInfo(
        "worker-1",
        "host",
        1,
        ("numbers", "flags", "pictures"),
        datetime.now(UTC),
        forms=MEDIA_TYPES,
        blob_store=consumer.identify_blob_store(),
    )
    pictures = json.loads(write_document("pictures", x=("FP32", [-1, 3, -1, -1]), y=("FP32", [-1])))
    documents = {
        "numbers": write_document("numbers", x=("FP32", [-1, 4]), y=("FP32", [-1])),
        "flags": write_document("flags", x=("BOOL", [-1, 4]), y=("FP32", [-1])),
        "pictures": json.dumps({**pictures, "image": {"input": "x", "source": "metadata"}}).encode(),
    }
    consumer.heartbeat(info, documents, 600.0)
    yield consumer
    consumer.close()


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


@pytest.fixture
def never_whole(monkeypatch):
    """Makes sure that no body is received whole."""

    async def receive(_body):
        raise AssertionError("A body was received whole.")

    monkeypatch.setattr(IncomingBody, "receive", receive)


def post(media_type, content, path="/predict?model=numbers", **headers):
    return {"url": path, "content": content, "headers": {"content-type": media_type, **headers}}


FORMS = {
    "npy": post(NPY, make_npy(ARRAY)),
    "npy-unsaid": post("application/x-www-form-urlencoded", make_npy(ARRAY)),
    "raw": post(RAW, VALUES),
    "envelope": post(ENVELOPE, write_envelope({"inputs": [DESCRIBED]}, [VALUES])),
    "picture": post("image/png", PICTURE, "/predict?model=pictures"),
    "picture-in-envelope": post(
        ENVELOPE,
        write_envelope({"inputs": [describe_file("x", "image/png", len(PICTURE))]}, [PICTURE]),
        "/predict?model=pictures",
    ),
    "array-in-envelope": post(
        ENVELOPE,
        write_envelope({"inputs": [describe_file("x", NPY, len(make_npy(ARRAY)))]}, [make_npy(ARRAY)]),
    ),
    "v2": post(
        RAW,
        V2_JSON + VALUES,
        "/v2/models/numbers/infer",
        **{HEAD: str(len(V2_JSON)), "prefer": "respond-async"},
    ),
    "v2-raw": post(RAW, VALUES, "/v2/models/numbers/infer", **{HEAD: "0", "prefer": "respond-async"}),
}


async def read_data(client, answer):
    assert answer.status_code == 202, answer.text
    return (await client.get(f"/job/{answer.json()['job_id']}/data")).content


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_stored_is_what_a_whole_body_would_be_stored_as(
    client, redis_client, files, monkeypatch, form
):
    with monkeypatch.context() as patch:
        patch.setattr(body_stream, "LEAST_STREAMED_BYTES", 1 << 40)
        whole = await read_data(client, await client.post(**FORMS[form]))
        assert len(files()) == 1
    monkeypatch.setattr(IncomingBody, "receive", None)
    streamed = await client.post(**FORMS[form])
    assert await read_data(client, streamed) == whole
    assert is_reference(redis_client.get(f"job:{streamed.json()['job_id']}:data"))
    assert len(files()) == 2


async def test_booleans_are_received_whole_since_each_is_checked(client, files):
    content = make_npy(np.ones((2_000_000, 4), bool))
    answer = await client.post(**post(NPY, content, "/predict?model=flags"))
    assert await read_data(client, answer) == content
    refused = await client.post(**post(NPY, content[:-1] + b"\2", "/predict?model=flags"))
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:inferq:problem:invalid-input")
    assert len(files()) == 1


async def test_json_is_received_whole_since_each_value_is_checked(client, files):
    content = b'{"data":[[%b]]}' % b",".join([b"1.5"] * 1_100_000)
    answer = await client.post(**post("application/json", content))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:inferq:problem:invalid-input")
    assert files() == []


@pytest.mark.usefixtures("never_whole")
async def test_repeated_request_gets_the_same_job_and_leaves_one_file(client, files, settings):
    request = post(NPY, make_npy(ARRAY), **{"idempotency-key": "k"})
    ids = {(await client.post(**request)).json()["job_id"] for _ in range(2)}
    assert len(ids) == len(files()) == 1
    other = await client.post(**post(NPY, make_npy(ARRAY + 1), **{"idempotency-key": "k"}))
    assert (other.status_code, other.json()["type"]) == (422, "urn:inferq:problem:idempotency-conflict")
    assert len(files()) == 1


async def test_repeated_request_is_known_however_its_body_was_received(client, files, monkeypatch):
    request = post(
        RAW, VALUES, "/predict?model=numbers&expires_in=600&priority=high", **{"idempotency-key": "k"}
    )
    first = await client.post(**request)
    monkeypatch.setattr(body_stream, "LEAST_STREAMED_BYTES", 1 << 40)
    assert (await client.post(**request)).json() == first.json()
    assert len(files()) == 1


REFUSED = {
    "datatype": post(NPY, make_npy(ARRAY.astype(np.float64))),
    "shape": post(NPY, make_npy(ARRAY.reshape(-1, 5))),
    "cut": post(NPY, make_npy(ARRAY)[:-4]),
    "rows": post(RAW, b"\0" * 16 * 1_200_000),
    "no-array": post(NPY, b"\x89PNG" + VALUES),
    "form": post("multipart/form-data; boundary=b", make_npy(ARRAY)),
    "key": post(NPY, make_npy(ARRAY), **{"idempotency-key": "a b"}),
    "envelope-length": post(ENVELOPE, write_envelope({"inputs": [DESCRIBED]}, [VALUES, b"1"])),
    "envelope-head": post(ENVELOPE, b"\x93INFERQ\x01" + b"\xff" * 5_000_000),
    "v2-json": post(RAW, b"{" + V2_JSON + VALUES, "/v2/models/numbers/infer", **{HEAD: str(len(V2_JSON))}),
    "v2-unknown": post(RAW, VALUES, "/v2/models/nobody/infer", **{HEAD: "0"}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refusal_says_the_same_as_of_a_whole_body_and_nothing_is_stored(
    settings, files, monkeypatch, case
):
    with serving(settings.model_copy(update={"max_rows": 1_000_000})) as proxy:
        async with proxy.client() as client:
            streamed = await client.post(**REFUSED[case])
            monkeypatch.setattr(body_stream, "LEAST_STREAMED_BYTES", 1 << 40)
            whole = await client.post(**REFUSED[case])
    assert 400 <= streamed.status_code < 500, streamed.text
    assert (streamed.status_code, streamed.json()) == (whole.status_code, whole.json())
    assert files() == []


@pytest.mark.usefixtures("never_whole")
@pytest.mark.parametrize("path", ["/predict?model=numbers", "/v2/models/numbers/infer"])
async def test_job_that_the_queue_has_no_room_for_leaves_no_file(client, files, path):
    request = post(RAW, VALUES, path, **{"prefer": "respond-async", **({HEAD: "0"} if "v2" in path else {})})
    for _ in range(3):
        assert (await client.post(**request)).status_code == 202
    refused = await client.post(**request)
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:inferq:problem:queue-full")
    assert len(files()) == 3


async def begin_upload(port, content, count):
    """Sends the head of a request and so many bytes of its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /predict?model=numbers HTTP/1.1\r\nHost: x\r\nContent-Type: {NPY}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:count])
    await writer.drain()
    return reader, writer


@pytest.mark.usefixtures("never_whole")
async def test_client_that_goes_leaves_no_file(proxy, files):
    content = make_npy(ARRAY)
    _, writer = await begin_upload(proxy.port, content, 3_000_000)
    await asyncio.to_thread(wait_until, lambda: files() and files()[0].stat().st_size > 1_000_000)
    writer.close()
    await asyncio.to_thread(wait_until, lambda: not files(), what="the file's removal")
    budget = proxy.app.state.services.body_budget
    await asyncio.to_thread(wait_until, lambda: not budget.taken, what="the budget's release")


@pytest.mark.usefixtures("never_whole")
async def test_client_that_pauses_for_too_long_is_refused_and_leaves_no_file(settings, files):
    with serving(settings.model_copy(update={"request_timeout_seconds": 1.0})) as proxy:
        reader, writer = await begin_upload(proxy.port, make_npy(ARRAY), 3_000_000)
        assert b" 408 " in await reader.readline()
        writer.close()
    assert files() == []


@pytest.mark.usefixtures("never_whole")
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, "queue-full"), (errno.EIO, "store-unavailable")],
    ids=["full", "broken"],
)
async def test_store_that_fails_meanwhile_refuses_the_job_whole(client, files, monkeypatch, number, kind):
    def fail(*_args):
        raise OSError(number, "No.")

    monkeypatch.setattr("inferq.blobs.folder_store.os.write", fail)
    answer = await client.post(**FORMS["npy"])
    assert (answer.status_code, answer.json()["type"]) == (503, f"urn:inferq:problem:{kind}")
    assert files() == []


async def test_body_goes_whole_into_redis_where_the_store_has_failed(
    client, files, monkeypatch, redis_client
):
    def fail(*_args):
        raise OSError(errno.EIO, "No.")

    with monkeypatch.context() as patch:
        patch.setattr("inferq.blobs.folder_store.os.write", fail)
        assert (await client.post(**FORMS["npy"])).status_code == 503
        answer = await client.post(**FORMS["npy"])
    assert redis_client.strlen(f"job:{answer.json()['job_id']}:data") > len(VALUES)
    again = await client.post(**FORMS["npy"])  # whole, as nobody knows yet that the store is back
    monkeypatch.setattr(IncomingBody, "receive", None)
    last = await client.post(**FORMS["npy"])
    assert [one.status_code for one in (again, last)] == [202, 202]
    assert len(files()) == 2


async def test_slow_store_slows_the_client(proxy, files, monkeypatch):
    content = make_npy(np.zeros((3_000_000, 4), np.float32))  # 48 MB
    gate = threading.Event()
    write = os.write

    def write_when_allowed(file, data):
        gate.wait(30)
        return write(file, data)

    monkeypatch.setattr("inferq.blobs.folder_store.os.write", write_when_allowed)
    reader, writer = await begin_upload(proxy.port, content, 0)
    writer.transport.set_write_buffer_limits(0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    sent = 0

    async def send():
        nonlocal sent
        for first in range(0, len(content), 100_000):
            writer.write(content[first : first + 100_000])
            await writer.drain()
            sent = first
        return await reader.readline()

    sending = asyncio.create_task(send())
    before = -1
    while sent != before:  # until nothing more is taken
        before = sent
        await asyncio.sleep(0.5)
    held = proxy.app.state.services.body_budget.taken
    assert before < held + 20_000_000  # the system's buffers of both sockets are among it
    gate.set()
    assert b" 202 " in await sending
    writer.close()
    assert files()[0].read_bytes() == content


@pytest.mark.usefixtures("never_whole")
async def test_uploads_are_refused_where_they_take_too_much_memory(settings, files):
    with serving(settings.model_copy(update={"max_inflight_bytes": 1, "max_body_bytes": 9_000_000})) as proxy:
        content = make_npy(ARRAY)
        _, writer = await begin_upload(proxy.port, content, 3_000_000)
        await asyncio.to_thread(wait_until, files)
        async with proxy.client() as client:
            answer = await client.post(**FORMS["npy"])
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:inferq:problem:overloaded")
        assert len(files()) == 1
        writer.close()
        await asyncio.to_thread(wait_until, lambda: not files())


TWO_PARTS = make_npy(np.arange(3_000_000, dtype=np.float32).reshape(-1, 4))  # 12 MB


@in_a_bucket
@pytest.mark.usefixtures("never_whole")
async def test_body_goes_into_a_bucket_in_parts(client, settings):
    answer = await client.post(**post(NPY, TWO_PARTS))
    assert await read_data(client, answer) == TWO_PARTS
    [blob] = open_store(settings.blob_store).list_page().blobs
    assert blob.size == len(TWO_PARTS)


@in_a_bucket
@pytest.mark.usefixtures("never_whole")
async def test_client_that_goes_leaves_nothing_in_a_bucket(proxy, settings, object_server):
    _, writer = await begin_upload(proxy.port, TWO_PARTS, 11_000_000)
    await asyncio.to_thread(wait_until, object_server.list_unfinished_uploads)
    writer.close()
    await asyncio.to_thread(wait_until, lambda: not object_server.list_unfinished_uploads())
    assert open_store(settings.blob_store).list_page().blobs == []


@in_a_bucket
@pytest.mark.usefixtures("never_whole")
async def test_clients_that_pause_hold_up_no_other_upload_into_a_bucket(settings):
    with serving(settings.model_copy(update={"request_timeout_seconds": 110.0})) as proxy:
        paused = [await begin_upload(proxy.port, TWO_PARTS, 11_000_000) for _ in range(4)]
        async with proxy.client() as client, asyncio.timeout(60):  # before the others are refused
            assert (await client.post(**FORMS["npy"])).status_code == 202
        for _, writer in paused:
            writer.close()
