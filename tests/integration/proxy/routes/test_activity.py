"""GET /activity, on a real socket."""

import asyncio
import json
import time

from inferq.jobs import Outcome
from inferq.proxy.services import activity_feed
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA, beat, expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_events import Stream
from tests.integration.proxy.serving import serving
from tests.servers import wait_until


async def read_until(stream, condition):
    """The data of the first event, and those of all before it, for which the condition holds."""
    read = []
    async for event in stream:
        read.append((event["event"], json.loads(event["data"])))
        if condition(*read[-1]):
            return read
    raise AssertionError("the stream has ended")


def names(job_id, status):
    """Whether changes name the job in that status."""
    return lambda event, data: (
        event == "changes" and any((job["job_id"], job["status"]) == (job_id, status) for job in data["jobs"])
    )


async def test_snapshot_comes_first_then_each_change_as_it_happens(proxy, announced, consumer, iris):
    beat(consumer, iris)
    async with proxy.client() as client, client.stream("GET", "/activity") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        stream = Stream(response)
        first = await anext(stream)
        assert first["event"] == "snapshot"
        snapshot = json.loads(first["data"])
        assert snapshot["models"] == [
            {
                "model": "iris",
                "waiting": {"high": 0, "normal": 0, "low": 0},
                **dict.fromkeys(("running", "retrying", "dead_letters"), 0),
                "workers": 1,
                **dict.fromkeys(("submitted", "completed", "failed"), 0),
            }
        ]
        assert [sorted(worker) for worker in snapshot["workers"]] == [
            ["host", "id", "jobs_done", "models", "seen_at"]
        ]
        await anext(stream)  # the second snapshot: changes from now on are told

        job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
        *_, (_, changes) = await read_until(stream, names(job_id, "pending"))
        assert changes["counts"] == {"pending": 1, "processing": 0, "completed": 0, "failed": 0}
        assert changes["jobs"] == [{"job_id": job_id, "model": "iris", "status": "pending"}]
        [job] = consumer.claim(1)
        await read_until(stream, names(job_id, "processing"))
        consumer.finish([Outcome(job, result=b"1")])
        await read_until(stream, names(job_id, "completed"))
        *_, (_, snapshot) = await read_until(stream, lambda event, _: event == "snapshot")
        assert (snapshot["models"][0]["submitted"], snapshot["models"][0]["completed"]) == (1, 1)


async def test_all_clients_share_one_reading_and_the_last_one_ends_it(proxy, redis_client, announced):
    feed = proxy.app.state.services.activity

    def count_scripts():
        return redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]

    async with proxy.client() as client:
        responses = [
            await client.send(client.build_request("GET", "/activity"), stream=True) for _ in range(10)
        ]
        await asyncio.to_thread(wait_until, lambda: len(feed) == 10, what="every client watching")
        streams = [Stream(response) for response in responses]
        await asyncio.gather(*(anext(stream) for stream in streams))
        before, began = count_scripts(), time.monotonic()
        await asyncio.gather(*(anext(stream) for stream in streams))
        of_one_reading = (time.monotonic() - began + 1) * (activity_feed.SAMPLES_PER_SECOND + 1)
        assert (
            count_scripts() - before <= 2 * of_one_reading
        )  # a reading for each client made ten times as many
        for response in responses:
            await response.aclose()
    wait_until(lambda: len(feed) == 0, what="every client leaving")
    wait_until(feed._reading.done, what="the end of the reading")


async def test_key_is_told_of_its_own_jobs_and_of_those_without_an_owner(settings, announced):
    keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    with serving(settings.model_copy(update={"api_keys": keys})) as proxy:
        async with proxy.client() as client:
            expect_problem(await client.get("/activity"), 401, "unauthorized")
            async with client.stream("GET", "/activity", headers=bearer(BEN)) as response:
                stream = Stream(response)
                for _ in range(2):
                    await anext(stream)
                await client.post("/predict", json=DATA, headers=bearer(ANN))
                *_, (_, changes) = await read_until(stream, lambda event, _: event == "changes")
                assert (changes["counts"]["pending"], changes["jobs"]) == (1, [])
                job_id = (await client.post("/predict", json=DATA, headers=bearer(BEN))).json()["job_id"]
                await read_until(stream, names(job_id, "pending"))


async def test_client_that_does_not_read_is_kept_nothing_but_the_latest_events():
    watcher = activity_feed.ActivityWatcher(b"first")
    for number in range(100):
        watcher.put(b"%d" % number, None)
    assert await watcher.take(None, 10) == b"99"
    assert await watcher.take(None, 0.01) == b""


async def test_stream_ends_when_the_process_is_told_to_stop(proxy, announced):
    async with proxy.client() as client, client.stream("GET", "/activity") as response:
        stream = Stream(response)
        await anext(stream)
        proxy.app.state.services.close_streams()
        await asyncio.wait_for(stream.rest(), 60)


async def test_without_redis_it_is_a_problem_and_a_stream_goes_on_when_redis_is_back(own_redis_server):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0)
    with serving(settings) as proxy:
        async with proxy.client() as client, client.stream("GET", "/activity") as response:
            stream = Stream(response)
            await anext(stream)
            own_redis_server.kill()
            expect_problem(await client.get("/activity"), 503, "redis-unavailable")
            own_redis_server.start()
            await read_until(stream, lambda event, _: event == "snapshot")


async def test_head_is_answered_and_ends(proxy):
    async with proxy.client() as client:
        answer = await client.head("/activity")
    assert (answer.status_code, answer.content) == (200, b"")
    wait_until(lambda: len(proxy.app.state.services.activity) == 0, what="its end")
