"""Server-Sent Events, on a real socket."""

import asyncio
import hashlib
import json
import time

import pytest

from inferq.jobs import Outcome, Progress
from inferq.proxy.routes import events
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.http.test_prefer import RESULT, finish, submitted
from tests.integration.proxy.serving import serving


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


class Stream:
    """An event stream, event by event."""

    def __init__(self, response):
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self):
        """The next event's fields, or its comment; None at the end of the stream."""
        fields = {}
        async for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields[name] = f"{fields[name]}\n{value[1:]}" if name in fields else value[1:]
        return None

    async def rest(self):
        return [event async for event in self]

    def __aiter__(self):
        return self

    async def __anext__(self):
        event = await asyncio.wait_for(self.next(), 60)
        if event is None:
            raise StopAsyncIteration
        return event


def states(events):
    return [(event["event"], json.loads(event["data"])["status"]) for event in events]


async def test_stream_tells_each_change_then_the_end_with_the_result(proxy, client, consumer):
    [job_id] = await submitted(client)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        stream = Stream(response)
        events = [await stream.next()]
        [job] = consumer.claim(1)
        events.append(await stream.next())
        consumer.finish([Outcome(job, result=RESULT)])
        events += await stream.rest()
    assert states(events) == [("status", "pending"), ("status", "processing"), ("end", "completed")]
    view = (await client.get(f"/job/{job_id}")).json()
    assert json.loads(events[-1]["data"]) == view
    assert len({event["id"] for event in events}) == 3
    proxy.wait_until_unused()


async def test_stream_of_an_ended_job_is_its_end_and_204_for_a_client_that_has_seen_it(client, consumer):
    [job_id] = await submitted(client)
    finish(consumer)
    path = f"/job/{job_id}/events"
    for seen in ({}, {"Last-Event-ID": "pending-0-0-1"}):
        async with client.stream("GET", path, headers=seen) as response:
            [event] = await Stream(response).rest()
            assert event["event"] == "end"
    answer = await client.get(path, headers={"Last-Event-ID": event["id"]})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_stream_goes_on_after_the_last_event_that_was_seen(client, consumer):
    [job_id] = await submitted(client)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        seen = await Stream(response).next()
    headers = {"Last-Event-ID": seen["id"]}
    async with client.stream("GET", f"/job/{job_id}/events", headers=headers) as response:
        stream = Stream(response)
        consumer.claim(1)
        assert states([await stream.next()]) == [("status", "processing")]


async def test_position_in_the_queue_is_told_as_it_changes_at_most_once_a_second(
    client, consumer, redis_client
):
    *_, third = await submitted(client, 3)
    async with client.stream("GET", f"/job/{third}/events") as response:
        stream = Stream(response)
        positions = [json.loads((await stream.next())["data"])["queue_position"]]
        started = time.monotonic()
        for _ in range(2):
            finish(consumer)
            event = await stream.next()
            positions.append(json.loads(event["data"])["queue_position"])
            assert event["event"] == "status"
        took = time.monotonic() - started
        finish(consumer)
        assert states(await stream.rest())[-1] == ("end", "completed")
    assert positions == [3, 2, 1]
    assert took > 0.9


async def test_positions_of_many_are_read_together(proxy, client, redis_client, consumer):
    job_ids = await submitted(client, 100)
    async with proxy.client() as crowd:
        responses = [
            await crowd.send(crowd.build_request("GET", f"/job/{one}/events"), stream=True)
            for one in job_ids[50:]
        ]
        followed = [Stream(response) for response in responses]
        for stream in followed:
            await stream.next()
        before, began = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"], time.monotonic()
        finish(consumer, 50)
        events = [await stream.next() for stream in followed]
        after = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
        scans = 2 + time.monotonic() - began  # at most one begins in a second
        assert [json.loads(event["data"])["queue_position"] for event in events] == list(range(1, 51))
        assert after - before <= 2 + scans * 4  # claim and finish, and scans in groups
        for response in responses:
            await response.aclose()
    proxy.wait_until_unused()


async def test_progress_of_a_large_job_is_told_until_its_end(client, consumer):
    [job_id] = await submitted(client)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        stream = Stream(response)
        await stream.next()
        [job] = consumer.claim(1)
        running = json.loads((await stream.next())["data"])  # so the proxy listens to changes by now
        assert (running["status"], "progress" in running) == ("processing", False)
        for done in (0, 30, 70):
            consumer.chunks.note_progress(job_id, Progress(done, 100))
            event = await stream.next()
            assert (event["event"], event["id"][-len(f"-{done}") :]) == ("progress", f"-{done}")
            assert json.loads(event["data"])["progress"] == {"done": done, "rows": 100}
        assert (await client.get(f"/job/{job_id}")).json()["progress"] == {"done": 70, "rows": 100}
        consumer.finish([Outcome(job, b"{}")])
        [end] = await stream.rest()
    assert (end["event"], "progress" in json.loads(end["data"])) == ("end", False)


async def test_stream_without_news_sends_heartbeats(client, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)
    [job_id] = await submitted(client)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        stream = Stream(response)
        assert (await stream.next())["event"] == "status"
        assert await stream.next() == {"": "heartbeat"}
        assert await stream.next() == {"": "heartbeat"}


async def test_stream_of_an_unknown_job_is_a_problem(client):
    expect_problem(await client.get("/job/nosuch/events"), 404, "job-not-found")
    expect_problem(await client.get("/job//events"), 404, "job-not-found")
    assert (await client.get("/job/events")).json()["type"] == "urn:inferq:problem:job-not-found"


async def test_job_whose_id_has_slashes_is_followed_and_one_that_ends_in_events_is_not_read(
    client, redis_client
):
    for name in ("odd/path", "odd/events"):
        redis_client.set(f"job:{name}:data", "[[1,2,3,4]]")
    async with client.stream("GET", "/job/odd/path/events") as response:
        assert json.loads((await Stream(response).next())["data"])["job_id"] == "odd/path"
    expect_problem(await client.get("/job/odd/events"), 404, "job-not-found")  # of the job "odd"
    async with client.stream("GET", "/job/odd/events/events") as response:
        assert json.loads((await Stream(response).next())["data"])["job_id"] == "odd/events"


async def test_result_of_several_lines_arrives_whole(client, redis_client):
    redis_client.set("job:outside:result", '{\n "a":\r\n 1\r}')
    redis_client.set("job:outside:status", "completed")
    async with client.stream("GET", "/job/outside/events") as response:
        [event] = await Stream(response).rest()
    assert json.loads(event["data"])["result"] == {"a": 1}


async def test_stream_ends_when_the_job_has_expired(client, redis_client):
    redis_client.set("job:outside:data", "[[1,2,3,4]]")
    async with client.stream("GET", "/job/outside/events") as response:
        stream = Stream(response)
        await stream.next()
        redis_client.delete("job:outside:data")
        assert await stream.rest() == []


async def test_client_that_goes_away_leaves_nothing_behind(proxy, client):
    [job_id] = await submitted(client)
    async with client.stream("GET", f"/job/{job_id}/events") as response:
        await Stream(response).next()
        assert len(proxy.subscriber) == 1
    proxy.wait_until_unused()


async def test_stream_outlives_an_outage_of_redis(own_redis_server):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0)
    with serving(settings) as proxy:
        async with proxy.client() as client:
            [job_id] = await submitted(client)
            async with client.stream("GET", f"/job/{job_id}/events") as response:
                stream = Stream(response)
                await stream.next()
                own_redis_server.kill()
                own_redis_server.start()
                consumer = Consumer(settings, "worker-1", ["iris"])
                finish(consumer)
                consumer.close()
                assert states(await stream.rest())[-1] == ("end", "completed")


async def test_stream_is_for_clients_that_may_read_the_job(settings, announced):
    keys = {name: f"iq_{name}" for name in ("ann", "ben")}
    known = ",".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys.items())
    with serving(settings.model_copy(update={"api_keys": known})) as proxy:
        async with proxy.client() as client:
            ann, ben = ({"Authorization": f"Bearer {key}"} for key in keys.values())
            job_id = (await client.post("/predict", json=DATA, headers=ann)).json()["job_id"]
            expect_problem(await client.get(f"/job/{job_id}/events"), 401, "unauthorized")
            for path in (f"/job/{job_id}/events", f"/job/{job_id}?wait=20"):
                expect_problem(await client.get(path, headers=ben), 404, "job-not-found")
            async with client.stream("GET", f"/job/{job_id}/events", headers=ann) as response:
                assert states([await Stream(response).next()]) == [("status", "pending")]
