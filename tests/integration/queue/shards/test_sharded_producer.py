"""What concerns many jobs is asked of all shards, and answered by those that are there."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain

import pytest

from inferq.errors import InvalidInputError, RedisUnavailableError
from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.proxy.services.health import HealthChecker
from inferq.queue.inspection.job_filter import ANY_JOB, JobFilter
from inferq.queue.inspection.job_scan import Position
from inferq.queue.producer.bulk_actions import JobAction
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.shard_ids import find_shard
from inferq.rollout import Rollout

DATA = b"[5.1, 3.5, 1.4, 0.2]"
WORKER = WorkerInfo("worker-1", "host", 1, ("iris",), datetime.now(UTC))


async def submit(producer, count):
    return [await producer.submit(Submission("iris", DATA)) for _ in range(count)]


async def list_all(producer, **options):
    """Reads all pages; returns the ids, page by page."""
    pages, after = [], None
    while True:
        page = await producer.listing.read_page(["iris"], after=after, **options)
        pages.append([job.id for job in page.jobs])
        after = page.last
        if after is None:
            return pages


def run_some(consumers, count):
    """Lets each worker run so many jobs; returns the ids in the order of their ends."""
    ids = []
    for number in range(count):
        consumer = consumers[number % 2]
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, b"1")])
        ids.append(job.id)
    return ids


async def test_listing_is_one_order_page_by_page(sharded, consumers):
    ids = await submit(sharded, 21)
    ended = run_some(consumers, 6)
    waiting = [job_id for job_id in ids if job_id not in ended]
    pages = await list_all(sharded, limit=4)
    assert [len(page) for page in pages] == [4] * 5 + [1]
    listed = [job_id for page in pages for job_id in page]
    assert sorted(listed) == sorted(ids)
    # of one millisecond, either may be first
    assert {*listed[:15]} == {*waiting}
    for shard in (0, 1):
        own = [job_id for job_id in listed if find_shard(job_id, 2) == shard]
        assert own[-3:] == [job_id for job_id in reversed(ended) if job_id in own]
    completed = await list_all(sharded, status=Status.COMPLETED, limit=2)
    assert [*chain.from_iterable(completed)] == listed[15:]
    [[job_id]] = await list_all(sharded, only=JobFilter(id_prefix=ids[-1]))
    assert job_id == ids[-1]


async def test_listing_goes_on_without_a_shard_and_its_jobs_come_when_it_is_back(sharded, shard_servers):
    ids = await submit(sharded, 8)
    first = await sharded.listing.read_page(["iris"], limit=2)
    shard_servers[1].kill()
    rest = await sharded.listing.read_page(["iris"], after=first.last, limit=10)
    assert sharded.away_shards == [1]
    assert rest.last is None  # nobody waits for it here
    listed = [job.id for job in (*first.jobs, *rest.jobs)]
    assert {job_id for job_id in ids if find_shard(job_id, 2) == 0} <= {*listed}
    page = await sharded.listing.read_page(["iris"], limit=2)  # a listing that has not ended meanwhile
    shard_servers[1].start()
    while sharded.shard_faults:
        await asyncio.sleep(0.01)
    later = await sharded.listing.read_page(["iris"], after=page.last, limit=10)
    assert {job.id for job in (*page.jobs, *later.jobs)} == {*ids}


async def test_cursor_of_other_shards_is_refused(sharded):
    await submit(sharded, 4)
    page = await sharded.listing.read_page(["iris"], limit=1)
    single = sharded._calls.shards[0].producer
    with pytest.raises(InvalidInputError, match="other shards"):
        await single.listing.read_page(["iris"], after=page.last)
    with pytest.raises(InvalidInputError, match="other shards"):
        await sharded.listing.read_page(["iris"], after=Position(True, "", 1.0, b"x"))


async def test_shard_that_workers_leave_out_is_named(sharded, sharded_settings, consumers):
    assert (await sharded.read_stats()).unattended_shards == ()
    consumers[0].heartbeat(WORKER, {"iris": b"{}"}, 30.0)
    assert (await sharded.read_stats()).unattended_shards == (1,)
    report = await HealthChecker(sharded, sharded_settings).check()
    assert report.status == "degraded"
    assert "no live worker reports to shard 1" in report.components["worker"]
    consumers[1].heartbeat(WORKER, {"iris": b"{}"}, 30.0)
    assert (await HealthChecker(sharded, sharded_settings).check()).status == "healthy"


async def test_numbers_are_added_up_and_a_worker_is_there_once(sharded, consumers):
    for consumer in consumers:
        consumer.heartbeat(WORKER, {"iris": b"{}"}, 30.0)
    await submit(sharded, 10)
    run_some(consumers, 4)
    stats = await sharded.read_stats()
    numbers = stats.models["iris"]
    assert (numbers.submissions, numbers.completions, sum(numbers.waiting.values())) == (10, 4, 6)
    assert [worker.id for worker in stats.workers] == ["worker-1"]
    assert numbers.workers == 1
    metrics = (await sharded.read_metrics()).models["iris"]
    assert (metrics.open, metrics.ended["completed", ""], sum(metrics.total.counts)) == (6, 4, 4)
    history = (await sharded.read_history(["iris"], 2))["iris"]
    assert sum(minute.completed for minute in history) == 4
    assert len(history) == 2
    assert await sharded.read_models() == {"iris": b"{}"}
    assert await sharded.read_models_with_jobs() == {"iris"}
    assert await sharded.read_last_heartbeat() is not None
    memory = await sharded.read_memory()
    assert memory.used_bytes > 0
    assert memory.limit_bytes is None
    await sharded.forget_models()
    assert await sharded.read_models() == {}


async def test_counters_are_not_told_without_one_of_the_shards(sharded, shard_servers):
    await submit(sharded, 4)
    shard_servers[1].kill()
    with pytest.raises(RedisUnavailableError, match="Shard 1"):
        await sharded.read_metrics()
    assert (await sharded.read_stats()).models["iris"].submissions == 2


async def test_actions_change_the_jobs_of_all_shards(sharded):
    await submit(sharded, 6)
    options = {"only": ANY_JOB}
    assert (await sharded.act_on_jobs(JobAction.CANCEL, ["iris"], is_dry_run=True, **options)).matched == 6
    report = await sharded.act_on_jobs(JobAction.CANCEL, ["iris"], **options)
    assert (report.matched, report.changed, report.last) == (6, 6, None)
    groups = await sharded.read_error_groups(["iris"], only=ANY_JOB)
    assert [group.count for group in groups.groups] == [6]
    assert (await sharded.act_on_jobs(JobAction.RETRY, ["iris"], **options)).changed == 6
    assert await sharded.cancel_waiting("iris") == 6


async def test_activity_of_all_shards_is_sampled(sharded):
    sampler = sharded.open_sampler()
    await sampler.read()
    ids = await submit(sharded, 6)
    sample = await sampler.read()
    assert sample.counts[Status.PENDING] == 6
    assert {job.id for job in sample.jobs} == {*ids}


async def test_ticket_opens_a_stream_once_though_a_shard_is_away(sharded, shard_servers):
    shard_servers[1].kill()
    tickets = sharded.stream_tickets
    for _ in range(3):
        ticket = await tickets.issue("ann")
        assert [await tickets.redeem(ticket) for _ in range(2)] == ["ann", None]
    assert [await tickets.redeem(ticket) for ticket in ("x", "x.7", "x.", "x.²", ".0")] == [None] * 5


async def test_rollout_is_changed_in_all_shards_or_in_none(sharded, shard_servers):
    rollout = Rollout(serve="2")
    changed, generation = await sharded.change_rollout("iris", lambda _: rollout)
    assert changed == rollout
    assert await sharded.change_rollout("iris", lambda _: rollout) == (rollout, generation)
    for shard in sharded._calls.shards:
        assert await shard.producer.read_rollouts() == {"iris": rollout}
    latest = await sharded.request_reload()
    assert latest > generation
    shard_servers[1].kill()
    with pytest.raises(RedisUnavailableError, match="Shard 1"):
        await sharded.change_rollout("iris", lambda _: None)
    with pytest.raises(RedisUnavailableError, match="Shard 1"):
        await sharded.request_reload()
    assert await sharded.read_rollouts() == {"iris": rollout}
    # that of the shard that is away may have been the larger one, by some milliseconds
    assert generation < await sharded.read_generation() <= latest


async def test_rollout_that_reached_one_shard_alone_is_what_counts_and_is_completed(sharded):
    ahead = sharded._calls.shards[1].producer
    rollout = Rollout(serve="2")
    await ahead.change_rollout("iris", lambda _: rollout)
    assert await sharded.read_rollouts() == {"iris": rollout}
    await sharded.change_rollout("iris", lambda before: before)
    for shard in sharded._calls.shards:
        assert await shard.producer.read_rollouts() == {"iris": rollout}


async def test_changes_at_the_same_time_leave_the_same_in_all_shards(sharded):
    changes = [Rollout(serve=str(number)) for number in range(1, 6)]
    await asyncio.gather(*(sharded.change_rollout("iris", lambda _, new=new: new) for new in changes))
    first, second = [await shard.producer.read_rollouts() for shard in sharded._calls.shards]
    assert first == second


async def test_waiters_hear_of_jobs_in_all_shards_and_of_those_from_outside(
    sharded, consumers, shard_servers
):
    subscriber = sharded.open_subscriber()
    ids = await submit(sharded, 2)
    with shard_servers[1].client() as client:
        client.set("job:outside:data", DATA)
        client.lpush("queue:iris", "outside")
    with ExitStack() as stack:
        waiters = [stack.enter_context(subscriber.subscribe(job_id)) for job_id in (*ids, "outside")]
        for waiter in waiters:
            waiter.begin_read()
            waiter.end_read(await sharded.read(waiter.job_id))
        while not subscriber.is_subscribed:
            await asyncio.sleep(0.01)
        for consumer in consumers:
            consumer.finish([Outcome(job, b"1") for job in consumer.claim({"iris": 10})])
        for waiter in waiters:
            assert await waiter.wait(60)
    await subscriber.aclose()


async def test_waiters_of_one_shard_go_on_while_the_other_is_away_and_its_own_when_it_is_back(
    sharded, consumers, shard_servers
):
    subscriber = sharded.open_subscriber()
    ids = await submit(sharded, 2)
    [here] = [job_id for job_id in ids if find_shard(job_id, 2) == 0]
    [there] = [job_id for job_id in ids if find_shard(job_id, 2) == 1]
    shard_servers[1].kill()
    with subscriber.subscribe(here, counts_position=True) as waiter, subscriber.subscribe(there) as other:
        waiter.begin_read()
        waiter.end_read(await sharded.read(here))
        with shard_servers[0].client() as client:  # what no message tells
            client.set(f"job:{here}:status", "processing")
        assert await waiter.wait(60)
        shard_servers[1].start()
        assert await other.wait(60)
        assert (await sharded.read(there)).status is Status.PENDING
    await subscriber.aclose()
