"""Waiting for a job's end within a request, on a real socket."""

import asyncio
import time
from contextlib import suppress

import httpx
import pytest
from structlog.testing import capture_logs

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.events import subscriber
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.serving import serving
from tests.servers import wait_until

RESULT = b'{"prediction":0}'


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


async def submitted(client, count=1):
    answers = [await client.post("/predict", json=DATA) for _ in range(count)]
    return [answer.json()["job_id"] for answer in answers]


async def until_waiting(proxy, count=1):
    """Until so many jobs have been read and are waited for, and messages are heard."""

    def is_waiting():
        waiters = proxy.subscriber._all_waiters()
        return len(waiters) == count and all(waiter._future is not None for waiter in waiters)

    async with asyncio.timeout(50):
        while not (is_waiting() and proxy.subscriber.is_subscribed):
            await asyncio.sleep(0.01)


def finish(consumer, count=1):
    jobs = consumer.claim(count)
    assert len(jobs) == count
    consumer.finish([Outcome(job, result=RESULT) for job in jobs])


async def test_wait_is_answered_as_soon_as_the_job_ends(proxy, client, consumer, monkeypatch):
    monkeypatch.setattr(subscriber, "RECONCILE_SECONDS", 600.0)
    [job_id] = await submitted(client)
    waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
    await until_waiting(proxy)
    started = time.monotonic()
    finish(consumer)
    view = (await waiting).json()
    assert time.monotonic() - started < 45
    assert (view["status"], view["result"]) == ("completed", {"prediction": 0})
    assert view == (await client.get(f"/job/{job_id}")).json()
    proxy.wait_until_unused()


async def test_wait_is_answered_with_the_present_state_when_the_time_is_up(proxy, client, consumer):
    [job_id] = await submitted(client)
    started = time.monotonic()
    waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=4"))
    await until_waiting(proxy)
    consumer.claim(1)
    assert (await waiting).json()["status"] == "processing"
    assert 3.9 < time.monotonic() - started < 45
    proxy.wait_until_unused()


async def test_wait_for_a_job_that_has_ended_or_does_not_exist_is_answered_at_once(proxy, client, consumer):
    [job_id] = await submitted(client)
    finish(consumer)
    started = time.monotonic()
    assert (await client.get(f"/job/{job_id}?wait=60")).json()["status"] == "completed"
    expect_problem(await client.get("/job/nosuch?wait=60"), 404, "job-not-found")
    expect_problem(await client.get(f"/job/{'x' * 300}?wait=60"), 404, "job-not-found")
    assert time.monotonic() - started < 45
    assert len(proxy.subscriber) == 0


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", ""])
async def test_wait_out_of_bounds_is_422(client, wait):
    detail = expect_problem(await client.get(f"/job/x?wait={wait}"), 422, "invalid-input")
    assert "INFERQ_MAX_WAIT_SECONDS" in detail


async def test_job_that_fails_or_is_cancelled_ends_the_wait(proxy, client, consumer):
    failed, cancelled = await submitted(client, 2)
    waiting = [asyncio.create_task(client.get(f"/job/{one}?wait=60")) for one in (failed, cancelled)]
    await until_waiting(proxy, 2)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, error=InvalidInputError("Bad."))])
    await client.delete(f"/job/{cancelled}")
    kinds = [answer.json()["error_kind"] for answer in await asyncio.gather(*waiting)]
    assert kinds == ["invalid-input", "cancelled"]


async def test_job_that_an_outside_worker_ends_without_a_message_ends_the_wait(proxy, client, redis_client):
    redis_client.set("job:outside,1:data", "[[1,2,3,4]]")
    waiting = asyncio.create_task(client.get("/job/outside,1?wait=60"))
    await until_waiting(proxy)
    redis_client.set("job:outside,1:result", "5")
    redis_client.set("job:outside,1:status", "completed")
    assert (await waiting).json()["result"] == 5


async def test_preference_to_wait_is_answered_with_the_finished_job(proxy, client, announced, consumer):
    headers = {"Prefer": "respond-async, wait=60"}
    waiting = asyncio.create_task(client.post("/predict", json=DATA, headers=headers))
    await until_waiting(proxy)
    finish(consumer)
    answer = await waiting
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=60")
    assert answer.json() == (await client.get(f"/job/{answer.json()['job_id']}")).json()
    proxy.wait_until_unused()


@pytest.mark.parametrize(("preference", "applied"), [("wait=0", "wait=0"), ("wait=9", "wait=0.3")])
async def test_preference_to_wait_is_202_when_the_time_is_up(settings, announced, preference, applied):
    with serving(settings.model_copy(update={"max_wait_seconds": 0.3})) as proxy:
        async with proxy.client() as client:
            answer = await client.post("/predict", json=DATA, headers={"Prefer": preference})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, applied)
    assert answer.headers["location"] == f"/job/{answer.json()['job_id']}"


async def test_preference_that_is_not_understood_changes_nothing(client, announced):
    answer = await client.post("/predict", json=DATA, headers={"Prefer": "wait=soon"})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_client_that_goes_away_while_it_waits_leaves_nothing_behind(proxy, client, announced):
    [job_id] = await submitted(client)
    for request in (
        ("GET", f"/job/{job_id}?wait=60", None),
        ("POST", "/predict", {"Prefer": "wait=60"}),
    ):
        async with proxy.client() as leaving:
            method, path, headers = request
            task = asyncio.create_task(leaving.request(method, path, json=DATA, headers=headers))
            await until_waiting(proxy)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        proxy.wait_until_unused()


def commands(redis_client):
    """How often each command was called, scripts and all."""
    return {
        name.removeprefix("cmdstat_"): stats["calls"]
        for name, stats in redis_client.info("commandstats").items()
    }


async def test_thousand_waiting_clients_cost_one_subscription_and_one_read_a_second(
    proxy, client, announced, consumer, redis_client
):
    job_ids = await submitted(client, 1000)
    limits = httpx.Limits(max_connections=None)
    async with proxy.client(limits=limits) as crowd:
        waiting = [asyncio.create_task(crowd.get(f"/job/{one}?wait=60")) for one in job_ids]
        await until_waiting(proxy, 1000)
        subscribers = redis_client.client_list(_type="pubsub")
        before, began = commands(redis_client), time.monotonic()
        async with asyncio.timeout(60):
            while (after := commands(redis_client)).get("mget", 0) < before.get("mget", 0) + 3:
                await asyncio.sleep(0.5)
        took = time.monotonic() - began
        used = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
        assert len(subscribers) == 1
        assert redis_client.pubsub_numsub("events") == [(b"events", 1)]
        assert used.pop("mget") <= took + 1
        assert used.keys() <= {"info", "client|list", "pubsub|numsub", "ping"}, used

        for _ in range(10):
            finish(consumer, 100)
        answers = await asyncio.gather(*waiting)
    assert [answer.json()["status"] for answer in answers] == ["completed"] * 1000
    assert [answer.json()["job_id"] for answer in answers] == job_ids
    proxy.wait_until_unused()


async def test_lost_message_costs_a_reconciliation_and_no_hang(proxy, client, redis_client):
    [job_id] = await submitted(client)
    waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
    await until_waiting(proxy)
    started = time.monotonic()
    # as the finish script does, but without the message
    redis_client.set(f"job:{job_id}:result", RESULT)
    redis_client.set(f"job:{job_id}:status", "completed")
    assert (await waiting).json()["status"] == "completed"
    assert time.monotonic() - started < 45


async def test_subscription_that_is_cut_off_comes_back_and_what_it_missed_is_seen(
    proxy, client, consumer, redis_client, monkeypatch
):
    [first, second] = await submitted(client, 2)
    waiting = [asyncio.create_task(client.get(f"/job/{one}?wait=60")) for one in (first, second)]
    await until_waiting(proxy, 2)
    assert redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    finish(consumer)
    started = time.monotonic()
    assert (await waiting[0]).json()["status"] == "completed"
    assert time.monotonic() - started < 45
    wait_until(lambda: redis_client.client_list(_type="pubsub"), what="the new subscription")
    monkeypatch.setattr(subscriber, "RECONCILE_SECONDS", 600.0)
    started = time.monotonic()
    finish(consumer)
    assert (await waiting[1]).json()["status"] == "completed"
    assert time.monotonic() - started < 45


async def test_redis_killed_and_started_again_keeps_nobody_waiting_for_ever(own_redis_server):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=2.0)
    with serving(settings) as proxy, capture_logs() as logged:
        async with proxy.client() as client:
            short, long = await submitted(client, 2)
            until_down = asyncio.create_task(client.get(f"/job/{short}?wait=4"))
            until_up = asyncio.create_task(client.get(f"/job/{long}?wait=60"))
            await until_waiting(proxy, 2)
            own_redis_server.kill()
            answer = await asyncio.wait_for(until_down, 60)
            expect_problem(answer, 503, "redis-unavailable")
            own_redis_server.start()
            consumer = Consumer(settings, "worker-1", ["iris"])
            finish(consumer, 2)
            consumer.close()
            assert (await asyncio.wait_for(until_up, 60)).json()["status"] == "completed"
        proxy.wait_until_unused()
    lines = [line["event"] for line in logged if line["event"].startswith("redis")]
    assert lines == ["redis_unavailable", "redis_available_again"]
    assert len(logged) <= 4, logged


async def test_user_that_may_not_subscribe_is_told_of_once_and_served_by_polling(redis_client, settings):
    rules = "~* &* +@all -subscribe"
    redis_client.execute_command("ACL", "SETUSER", "deaf", "on", ">s3cret", "resetchannels", *rules.split())
    url = settings.redis_url.replace("redis://", "redis://deaf:s3cret@")
    try:
        with serving(settings.model_copy(update={"redis_url": url})) as proxy, capture_logs() as logged:
            async with proxy.client() as client:
                [job_id] = await submitted(client)
                waiting = asyncio.create_task(client.get(f"/job/{job_id}?wait=60"))
                while not any(line["event"] == "events_unavailable" for line in logged):
                    await asyncio.sleep(0.01)
                redis_client.set(f"job:{job_id}:status", "failed")
                assert (await waiting).json()["status"] == "failed"
    finally:
        redis_client.execute_command("ACL", "DELUSER", "deaf")
    assert [line["event"] for line in logged] == ["events_unavailable"]
