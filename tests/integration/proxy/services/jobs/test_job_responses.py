"""Large results: handed on as they are stored, part by part, and beside others."""

import asyncio
import json
import time
import tracemalloc

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from inferq.jobs import Outcome
from inferq.queue.inspection.large_results import PART_BYTES, PARTS_AT_ONCE, LargeResults
from inferq.tensors.envelope import write_envelope, write_reference
from tests.integration.proxy.answers import DATA
from tests.integration.proxy.http.test_prefer import submitted
from tests.integration.proxy.routes.test_events import Stream
from tests.integration.proxy.serving import serving
from tests.integration.proxy.slow_connections import slow_connection

SIZES = [20_000, 300_000]
"""Of results that are read behind their job, and of such that are read in parts."""


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


def result_of(size):
    return b'{"outputs": {"y": "%b"}}' % (b"0123456789" * (size // 10))


def finish(consumer, result):
    consumer.finish([Outcome(job, result=result) for job in consumer.claim(10)])


def end_outside(redis_client, job_id, result):
    """Ends a job as a worker from outside does."""
    redis_client.rpop("queue:iris")
    redis_client.set(f"job:{job_id}:result", result)
    redis_client.set(f"job:{job_id}:status", "completed")


@pytest.mark.parametrize("size", SIZES)
async def test_large_result_comes_whole_by_every_way_of_reading(proxy, client, consumer, redis_client, size):
    [job_id] = await submitted(client)
    waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
    preferring = asyncio.create_task(client.post("/predict", json=DATA, headers={"Prefer": "wait=60"}))
    async with (
        client.stream("GET", f"/job/{job_id}/events") as response,
        connect(proxy.socket_url(f"/job/{job_id}/ws"), max_size=None) as socket,
        connect(proxy.socket_url("/ws"), max_size=None) as session,
    ):
        await session.send(json.dumps({"watch": job_id}))
        while redis_client.llen("queue:iris") < 2:
            await asyncio.sleep(0.01)
        finish(consumer, result_of(size))
        events = await Stream(response).rest()
        messages = []
        for one in (socket, session):
            while True:
                messages.append(json.loads(await asyncio.wait_for(one.recv(), 60)))
                if messages[-1]["event"] == "end":
                    break
    answer = await client.get(f"/job/{job_id}")
    assert b'"result":' + result_of(size) + b"," in answer.content
    view = answer.json()
    assert len(answer.content) == int(answer.headers["content-length"])
    assert (await waiting).content == answer.content
    assert (await preferring).json()["result"] == view["result"]
    assert json.loads(events[-1]["data"]) == view
    assert [message["job"] for message in messages if message["event"] == "end"] == [view, view]
    statuses = (await client.post("/jobs/status", json={"job_ids": ["nosuch", job_id]})).json()
    assert statuses == {"jobs": [None, view]}
    page = (await client.get("/jobs?status=completed")).json()
    assert [job["result"] for job in page["jobs"]] == [view["result"]] * 2


@pytest.mark.parametrize("http", ["fast", "plain"])
@pytest.mark.parametrize("space", [b" ", b"\r\n"])
async def test_large_result_from_outside_is_shown_as_it_is_if_it_is_json(
    client, app, redis_client, http, space
):
    stored = b"[" + (b"1," + space) * 50_000 + b"1.5]"
    [job_id] = await submitted(client)
    end_outside(redis_client, job_id, stored)
    one = (
        client
        if http == "fast"
        else httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")
    )
    answer = await one.get(f"/job/{job_id}")
    assert stored in answer.content
    assert answer.json()["result"] == json.loads(stored)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        [event] = await Stream(response).rest()
    assert json.loads(event["data"]) == answer.json()


@pytest.mark.parametrize(
    "stored",
    [
        b"{'a': %b}" % (b"1" * 200_000),
        b"[1, 2" * 40_000,
        "ジョブ\n\"".encode() * 30_000,
        b"\xff\xe3\x82" * 70_000,
    ],
    ids=["python", "unfinished", "text", "bytes"],
)  # fmt: skip
async def test_large_result_from_outside_that_is_no_json_is_shown_as_a_string(client, redis_client, stored):
    [job_id] = await submitted(client)
    end_outside(redis_client, job_id, stored)
    answer = await client.get(f"/job/{job_id}")
    assert answer.json()["result"] == stored.decode("utf-8", "replace")
    listed = (await client.post("/jobs/status", json={"job_ids": [job_id]})).json()["jobs"]
    assert listed == [answer.json()]


async def test_result_from_outside_that_is_no_unicode_can_be_sent_over_a_socket(
    proxy, client, redis_client, monkeypatch
):
    monkeypatch.setattr("inferq.proxy.services.results.large_job_view.MOST_PARSED_BYTES", 100_000)
    [job_id] = await submitted(client)
    end_outside(redis_client, job_id, b'["' + b"\xff" * 200_000 + b'"]')
    async with (
        connect(proxy.socket_url(f"/job/{job_id}/ws"), max_size=None) as socket,
        connect(proxy.socket_url("/ws"), max_size=None) as session,
    ):
        await session.send(json.dumps({"watch": job_id}))
        for one in (socket, session):
            message = json.loads(await asyncio.wait_for(one.recv(), 60))
            assert message["job"]["result"] == ["\ufffd" * 200_000]


async def test_result_from_outside_too_long_to_be_parsed_is_known_by_its_ends(
    client, redis_client, monkeypatch
):
    monkeypatch.setattr("inferq.proxy.services.results.large_job_view.MOST_PARSED_BYTES", 100_000)
    for stored, shown in ((b" [" + b"1," * 100_000 + b"1]\n", list), (b"x" * 200_000, str)):
        [job_id] = await submitted(client)
        end_outside(redis_client, job_id, stored)
        assert isinstance((await client.get(f"/job/{job_id}")).json()["result"], shown)


@pytest.mark.parametrize("values", [100, 10_000, 1_000_000])
async def test_tensors_are_shown_the_same_by_every_way_of_reading(client, consumer, values):
    [job_id] = await submitted(client)
    entry = {"name": "y", "datatype": "UINT8", "shape": [values], "parameters": {"binary_data_size": values}}
    finish(consumer, write_envelope({"outputs": [entry]}, [bytes(values)]))
    view = (await client.get(f"/job/{job_id}")).json()
    described = {"datatype": "UINT8", "shape": [values], "bytes": values}
    assert view["result"] == (
        {"outputs": {"y": [0] * values}}
        if values <= 10_000
        else {"outputs": {"y": described}, "href": f"/job/{job_id}/result"}
    )
    assert (await client.post("/jobs/status", json={"job_ids": [job_id]})).json() == {"jobs": [view]}
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        assert json.loads((await Stream(response).rest())[-1]["data"]) == view


async def test_large_result_that_begins_like_an_envelope_and_is_none_is_shown_as_a_string(
    client, consumer, redis_client
):
    [job_id] = await submitted(client)
    finish(consumer, b"1")
    redis_client.set(f"job:{job_id}:result", b"\x93INFERQ" + b"x" * 200_000)
    shown = (await client.get(f"/job/{job_id}")).json()["result"]
    assert shown == "\ufffdINFERQ" + "x" * 200_000


async def test_large_result_is_never_whole_in_the_proxy(proxy, client, consumer):
    [job_id] = await submitted(client)
    size = 40_000_000
    finish(consumer, result_of(size))
    tracemalloc.start()
    try:
        async with client.stream("GET", f"/job/{job_id}") as response:
            length = 0
            async for part in response.aiter_raw():
                length += len(part)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == int(response.headers["content-length"]) > size
    assert most < size / 4


@pytest.mark.parametrize("path", ["/job/{}", "/job/{}/events", "/jobs"])
async def test_answer_whose_result_is_deleted_meanwhile_is_cut_short_and_not_made_up(
    client, consumer, redis_client, path
):
    [job_id] = await submitted(client)
    finish(consumer, result_of(20_000_000))

    async def read_while_it_changes():
        async with client.stream("GET", path.format(job_id)) as response:
            length = 0
            async for part in response.aiter_raw():
                length += len(part)
                if length > 500_000:
                    redis_client.set(f"job:{job_id}:result", b"another")

    with pytest.raises(httpx.RemoteProtocolError):
        await read_while_it_changes()
    assert (await client.get("/health/live")).status_code == 200


async def test_job_whose_result_is_gone_between_two_reads_is_not_found(
    proxy, client, consumer, redis_client, monkeypatch
):
    [job_id, other] = await submitted(client, 2)
    finish(consumer, result_of(300_000))
    read_part = LargeResults.read_part

    async def lose_then_read(self, job, first):
        redis_client.delete(f"job:{job_id}:result")
        return await read_part(self, job, first)

    monkeypatch.setattr(LargeResults, "read_part", lose_then_read)
    assert (await client.get(f"/job/{job_id}")).status_code == 404
    redis_client.set(f"job:{job_id}:result", result_of(300_000))
    listed = (await client.post("/jobs/status", json={"job_ids": [job_id, other]})).json()["jobs"]
    assert [view and view["job_id"] for view in listed] == [None, other]


async def test_result_that_takes_longer_than_the_time_for_an_answer_comes_over_a_slow_connection(
    client, consumer, settings, redis_server
):
    [job_id] = await submitted(client)
    finish(consumer, result_of(4_000_000))
    async with slow_connection(redis_server.port, 1_000_000) as port:
        slow = settings.model_copy(
            update={"redis_url": f"redis://127.0.0.1:{port}/0", "redis_timeout_seconds": 3.0}
        )
        with serving(slow) as proxy:
            async with proxy.client() as reader:
                began = time.monotonic()
                answer = await reader.get(f"/job/{job_id}")
                assert time.monotonic() - began > 3.5
                assert len(answer.json()["result"]["outputs"]["y"]) == 4_000_000


async def test_few_readers_of_large_results_keep_nobody_waiting(client, consumer, settings, redis_server):
    ids = await submitted(client, 2)
    [job, small] = consumer.claim(2)
    consumer.finish([Outcome(job, result=result_of(30_000_000)), Outcome(small, result=b"1")])
    async with slow_connection(redis_server.port, 2 * PARTS_AT_ONCE * PART_BYTES) as port:
        slow = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
        with serving(slow) as proxy:
            async with proxy.client() as reader:
                large = [asyncio.create_task(reader.get(f"/job/{ids[0]}")) for _ in range(20)]
                await asyncio.sleep(0.5)
                for _ in range(5):
                    began = time.monotonic()
                    assert (await reader.get(f"/job/{ids[1]}")).json()["result"] == 1
                    assert time.monotonic() - began < 45  # behind them it would take a minute
                assert not any(task.done() for task in large)
                for task in large:
                    task.cancel()
                await asyncio.gather(*large, return_exceptions=True)


async def test_client_that_leaves_ends_the_reading(client, consumer, monkeypatch):
    [job_id] = await submitted(client)
    finish(consumer, result_of(50_000_000))
    read_part = LargeResults.read_part
    parts = []

    async def counted(self, job, first):
        parts.append(first)
        return await read_part(self, job, first)

    monkeypatch.setattr(LargeResults, "read_part", counted)
    for path in (f"/job/{job_id}", "/jobs"):
        async with client.stream("GET", path) as response:
            async for _ in response.aiter_raw():
                break
        count = -1
        while len(parts) != count:
            count = len(parts)
            await asyncio.sleep(0.2)
        assert max(parts) < 45_000_000


async def test_small_result_that_is_overwritten_after_our_worker_stored_it_breaks_no_answer(
    client, consumer, redis_client
):
    [job_id] = await submitted(client)
    finish(consumer, b"[1]")
    redis_client.set(f"job:{job_id}:result", "[nan, {'a': 1}]")
    assert (await client.get(f"/job/{job_id}")).json()["result"] == "[nan, {'a': 1}]"


async def test_result_in_a_store_out_of_reach_hides_no_other_job(proxy, client, consumer, redis_client):
    away, other = await submitted(client), await submitted(client)
    reference = write_reference(f"{away[0]}/result/0123456789abcdef", bytes(100), "elsewhere")
    end_outside(redis_client, away[0], reference)
    finish(consumer, b"[1]")
    answer = await client.get(f"/job/{away[0]}")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:inferq:problem:store-unavailable")
    statuses = (await client.post("/jobs/status", json={"job_ids": [*away, *other]})).json()["jobs"]
    assert [job["status"] for job in statuses] == ["completed"] * 2
    assert [job["result"] for job in statuses] == [{"href": f"/job/{away[0]}/result"}, [1]]
    async with connect(proxy.socket_url(f"/job/{away[0]}/ws")) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 60)
    assert closed.value.rcvd.code == 1013
