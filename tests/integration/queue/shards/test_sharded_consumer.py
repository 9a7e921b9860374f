"""A worker's side of the queue on two servers: it takes from both, and from one while the other is away."""

import shutil
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.errors import InvalidSettingError, RedisUnavailableError, StoreUnavailableError
from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.queue.consumer.claims.begun_wait import BegunWait
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.consumer.settle import KEPT
from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.shards.consumer_choice import open_consumer
from inferq.queue.shards.shard_settings import split_settings
from inferq.queue.shards.sharded_consumer import ShardedConsumer
from inferq.rollout import Rollout
from tests.integration.queue.calls import in_thread
from tests.servers import wait_until

DATA = b"[5.1, 3.5, 1.4, 0.2]"
LONG_SECONDS = 15.0
"""A wait that no busy machine comes to the end of before its job is there."""
SHADOW = "iris@2~shadow"
LARGE = b'"' + b"x" * 1_200_000 + b'"'


class Stored:
    """Notes what is stored later."""

    def __init__(self):
        self.verdicts = []

    def note(self, outcomes, verdicts):
        self.verdicts += [
            (outcome.job.id, verdict) for outcome, verdict in zip(outcomes, verdicts, strict=True)
        ]


@pytest.fixture
def stored():
    return Stored()


@pytest.fixture
def consumer(sharded_settings, stored):
    consumer = open_consumer(sharded_settings, "worker-1", ["iris"], note_settled=stored.note)
    yield consumer
    consumer.close()


async def submit(producer, count=1, data=DATA):
    return [await producer.submit(Submission("iris", data)) for _ in range(count)]


def blocked(server):
    with server.client() as client:
        return client.info("clients")["blocked_clients"]


def claim_and_finish(consumer):
    jobs = consumer.wait_and_claim(2, timeout_seconds=0.1).jobs
    consumer.finish([Outcome(job, b"1") for job in jobs])
    return [job.id for job in jobs]


async def statuses(producer, ids):
    return {job.status for job in await producer.read_many(ids)}


async def test_claims_go_to_one_shard_after_the_other(producers, consumer):
    ids = [set(await submit(producer, 6)) for producer in producers]
    shards = [consumer.wait_and_claim(2).jobs[0].shard for _ in range(6)]
    assert shards == [0, 1] * 3
    assert not consumer.wait_and_claim(2, timeout_seconds=0.05).jobs
    assert all(ids)


async def test_waiting_worker_takes_a_job_of_any_shard_and_waits_in_none_while_it_is_busy(
    producers, consumer, shard_servers
):
    for shard in (1, 0, 1):
        waiting = in_thread(lambda: consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs)
        wait_until(lambda: all(map(blocked, shard_servers)), what="the waits")
        [job_id] = await submit(producers[shard])
        assert [(job.id, job.shard) for job in waiting()] == [(job_id, shard)]
        assert not any(map(blocked, shard_servers))
    [left] = await submit(producers[0])
    assert (await producers[0].read(left)).status is Status.PENDING


async def test_what_came_in_the_instant_of_the_withdrawal_is_requeued_uncharged(
    producers, consumer, shard_servers, monkeypatch
):
    """Both shards answer before the worker looks."""
    waits = consumer._wait
    poll, late = waits._poll, []

    def poll_late(seconds):
        wait_until(lambda: all(map(blocked, shard_servers)), what="the waits")
        for number, server in enumerate(shard_servers):
            with server.client() as client:
                client.set(f"job:x{number}:data", DATA)
                client.lpush("queue:iris", f"x{number}")
        late.append(True)
        poll(seconds)

    monkeypatch.setattr(waits, "_poll", poll_late)
    [job] = consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs
    monkeypatch.undo()
    [other] = consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs
    assert late == [True]
    assert {job.id, other.id} == {"x0", "x1"}
    assert (job.attempt, other.attempt) == (1, 1)


@pytest.mark.parametrize("kind", ["receive_head", "withdraw", "await_withdrawal"])
async def test_nothing_is_lost_where_a_connection_breaks_while_a_wait_is_withdrawn(
    producers, consumer, shard_servers, monkeypatch, kind
):
    method, broken = getattr(BegunWait, kind), []

    def break_once(self, seconds):
        if not broken and self._access.settings.redis_url == shard_servers[0].url:
            broken.append(True)
            if kind == "receive_head":
                self._access.pipelined.disconnect()
            raise RedisUnavailableError("lost") if kind == "withdraw" else RedisConnectionError("lost")
        return method(self, seconds)

    waiting = in_thread(lambda: consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs)
    wait_until(lambda: all(map(blocked, shard_servers)), what="the waits")
    monkeypatch.setattr(BegunWait, kind, break_once)
    ids = await submit(producers[1]) + await submit(producers[0])
    found = [job.id for job in waiting()]
    deadline = time.monotonic() + 30
    while len(found) < 2 and time.monotonic() < deadline:
        with suppress(RedisUnavailableError):
            found += claim_and_finish(consumer)
    assert sorted(found) == sorted(ids)


async def test_wait_that_cannot_be_withdrawn_leaves_no_answers_to_later_calls(
    producers, consumer, shard_servers, monkeypatch
):
    """The connection that withdraws waits is used rarely: it may be one to a server that was started anew."""
    method, broken = BegunWait.withdraw, []

    def break_once(self, seconds):
        if broken or self._access.settings.redis_url != shard_servers[0].url:
            method(self, seconds)
            return
        self.receive_head(seconds)
        self._withdrawn_on = "a connection that is lost"
        broken.append(True)

    monkeypatch.setattr(BegunWait, "withdraw", break_once)
    for shard in (1, 0):
        waiting = in_thread(lambda: consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs)
        wait_until(lambda: all(map(blocked, shard_servers)), what="the waits")
        [job_id] = await submit(producers[shard])
        assert [job.id for job in waiting()] == [job_id]
    assert broken


async def test_one_shard_away_holds_up_no_other_and_its_outcomes_are_stored_when_it_is_back(
    producers, consumer, shard_servers, stored, sharded
):
    first, other = await submit(producers[0], 4), await submit(producers[1], 4)
    jobs = consumer.claim({"iris": 2}) + consumer.claim({"iris": 2})
    assert Counter(job.shard for job in jobs) == {0: 2, 1: 2}
    shard_servers[0].kill()

    verdicts = consumer.finish([Outcome(job, LARGE if job.shard else b"1") for job in jobs])
    assert verdicts == [KEPT, KEPT, "completed", "completed"]
    assert [job.id for job in consumer.wait_and_claim(5).jobs] == other[2:]
    assert consumer.wait_and_claim(5, timeout_seconds=0.1).jobs == []
    assert consumer.renew(dict.fromkeys(jobs, 60.0)).keys() == set(jobs[2:])
    consumer.recover()
    assert stored.verdicts == []

    shard_servers[0].start()
    wait_until(lambda: len(stored.verdicts) == 2, what="the outcomes")
    assert stored.verdicts == [(job_id, "completed") for job_id in first[:2]]
    found = wait_until(lambda: [job.id for job in consumer.wait_and_claim(5, timeout_seconds=0.1).jobs])
    assert found == first[2:]


async def test_large_result_waits_for_its_shard_too(producers, consumer, shard_servers, stored):
    [job_id] = await submit(producers[1])
    [job] = consumer.claim(1)
    shard_servers[1].kill()
    assert consumer.prepare_upload(Outcome(job, LARGE)).store() == KEPT
    shard_servers[1].start()
    wait_until(lambda: stored.verdicts, what="the outcome")
    assert (await producers[1].read(job_id)).result_bytes == len(LARGE)


@pytest.mark.parametrize("answer_seconds", [1.5])
async def test_shard_that_hangs_costs_the_others_one_timeout(producers, consumer, shard_servers):
    consumer.wait_and_claim(5, timeout_seconds=0.05)
    shard_servers[0].hang()
    began = time.monotonic()
    consumer.wait_and_claim(5, timeout_seconds=0.2)
    assert time.monotonic() - began < 60
    others = await submit(producers[1], 80)
    began = time.monotonic()
    for job_id in others:
        [job] = consumer.wait_and_claim(1).jobs
        assert job.id == job_id
        assert consumer.finish([Outcome(job, b"1")]) == ["completed"]
    assert time.monotonic() - began < 60  # with a timeout for each it would take 120


def test_nothing_can_be_claimed_while_all_shards_are_away(consumer, shard_servers):
    for server in shard_servers:
        server.kill()
    with pytest.raises(RedisUnavailableError, match="All shards are away"):
        consumer.wait_and_claim(5)
    with pytest.raises(RedisUnavailableError):
        consumer.recover()


async def test_prefetch_stores_in_one_shard_and_claims_from_the_next(producers, consumer):
    await submit(producers[0], 4)
    await submit(producers[1], 4)
    jobs, shards = consumer.wait_and_claim(2).jobs, []
    while jobs:
        claim = consumer.prepare_prefetch([Outcome(job, b"1") for job in jobs], {"iris": 2})
        shards.append(jobs[0].shard)
        claim.send()
        _, count = claim.wait()
        leased = claim.leased()
        verdicts, jobs = claim.answer()
        assert verdicts == ["completed"] * 2
        assert [job.id for job in leased or []] == [job.id for job in jobs]
        assert count == len(jobs)
    assert shards == [0, 1, 0, 1]


async def test_prefetch_of_a_shard_that_has_nothing_brings_jobs_of_another(producers, consumer):
    ids = await submit(producers[0], 6)
    jobs, found = consumer.wait_and_claim(2).jobs, []
    while jobs:
        found += [job.id for job in jobs]
        claim = consumer.prepare_prefetch([Outcome(job, b"1") for job in jobs], {"iris": 2})
        claim.send()
        jobs = claim.answer().jobs
    assert found == ids


async def test_prefetch_keeps_what_belongs_to_a_shard_that_goes_away(
    producers, consumer, shard_servers, stored
):
    first, second = await submit(producers[0], 4), await submit(producers[1], 4)
    jobs = consumer.wait_and_claim(2).jobs
    claim = consumer.prepare_prefetch([Outcome(job, b"1") for job in jobs], {"iris": 2})
    shard_servers[0].kill()
    claim.send()
    verdicts, others = claim.answer()
    assert verdicts == [KEPT, KEPT]
    assert [job.id for job in others] == second[:2]

    shard_servers[0].start()
    wait_until(lambda: len(stored.verdicts) == 2, what="the outcomes")
    assert await statuses(producers[0], first[:2]) == {Status.COMPLETED}


async def test_claim_that_a_shard_did_not_answer_is_given_back_when_it_is_back(
    producers, consumer, shard_servers, stored
):
    first = await submit(producers[0], 4)
    jobs = consumer.wait_and_claim(2).jobs
    await submit(producers[1], 1)
    consumer.finish([Outcome(job, b"1") for job in consumer.wait_and_claim(1).jobs])  # shard 0 is next
    claim = consumer.prepare_prefetch([Outcome(job, b"1") for job in jobs], {"iris": 2})
    shard_servers[0].kill()
    claim.send()
    assert claim.leased() is None
    assert claim.answer() == ([KEPT, KEPT], [])
    shard_servers[0].start()
    wait_until(lambda: len(stored.verdicts) == 2, what="the outcomes")
    found = wait_until(lambda: consumer.wait_and_claim(5, timeout_seconds=0.1).jobs)
    assert [(job.id, job.attempt) for job in found] == [(job_id, 1) for job_id in first[2:]]


async def test_jobs_of_a_dead_worker_are_recovered_in_every_shard(producers, consumer, sharded_settings):
    short = sharded_settings.model_copy(update={"lease_seconds": 0.2})
    dead = open_consumer(short, "worker-2", ["iris"])
    ids = await submit(producers[0], 2) + await submit(producers[1], 2)
    assert len(dead.claim(2) + dead.claim(2)) == 4
    dead.close()
    recovered = wait_until(lambda: consumer.recover().lapsed, what="the leases")
    found, deadline = [], time.monotonic() + 30
    while len(found) < 4 and time.monotonic() < deadline:
        consumer.recover()
        found += claim_and_finish(consumer)
    assert recovered
    assert sorted(found) == sorted(ids)


def test_orphans_are_found_in_every_shard(consumer, shard_servers, sharded_settings):
    parts, times = split_settings(sharded_settings), RecoveryTimes(missing_seconds=0.01)

    def make(shard, outage):
        return Consumer(parts[shard], "worker-2", ["iris"], times=times, outage=outage, shard=shard)

    eager, found = ShardedConsumer(2, make, lambda *_: None), set()
    for number, server in enumerate(shard_servers):
        with server.client() as client:
            client.set(f"job:x{number}:data", DATA)
            client.set(f"job:x{number}:status", "pending")
    deadline = time.monotonic() + 30
    while found != {"x0", "x1"} and time.monotonic() < deadline:
        if eager.acquire_scan_step():
            found.update(eager.requeue_orphans())
        else:
            time.sleep(0.05)
    eager.close()
    assert found == {"x0", "x1"}


async def test_requeued_jobs_go_back_to_their_shards(producers, consumer):
    ids = [await submit(producer, 1) for producer in producers]
    jobs = consumer.claim(1) + consumer.claim(1)
    assert consumer.requeue(jobs[::-1]) == ["requeued"] * 2
    again = consumer.claim(1) + consumer.claim(1)
    assert [(job.id, job.attempt) for job in again] == [(ids[0][0], 1), (ids[1][0], 1)]


@pytest.mark.parametrize("redis_server", ["valkey", "redis"], indirect=True)
async def test_user_with_the_categories_that_are_documented_may_end_waits(redis_server, settings):
    with redis_server.client() as client:
        rules = "+@read +@write +@connection +@transaction +@scripting +publish +subscribe +unsubscribe +time"
        client.execute_command(
            "ACL", "SETUSER", "app", "reset", "on", ">s3cret", "~*", "&*", *rules.split(), "+info", "+dbsize"
        )
        client.acl_log_reset()  # other tests of this server were refused what they meant to be
        base = f"redis://app:s3cret@127.0.0.1:{redis_server.port}"
        sharded = settings.model_copy(update={"redis_url": f"{base}/0,{base}/1"})
        consumer = open_consumer(sharded, "worker-1", ["iris"])
        producer = Producer.from_settings(split_settings(sharded)[1])
        try:
            consumer.check_server()
            waiting = in_thread(partial(consumer.wait_and_claim, 5, timeout_seconds=LONG_SECONDS))
            wait_until(lambda: client.info("clients")["blocked_clients"] == 2, what="the waits")
            [job_id] = await submit(producer)
            assert [job.id for job in waiting().jobs] == [job_id]
            assert client.info("clients")["blocked_clients"] == 0
            assert {entry["object"] for entry in client.acl_log()} <= {"config|get"}
        finally:
            consumer.close()
            await producer.close()
            client.execute_command("ACL", "DELUSER", "app")


async def test_shard_that_is_away_at_the_start_is_checked_when_it_is_back(consumer, producers, shard_servers):
    shard_servers[1].kill()
    consumer.check_server()
    assert consumer.announce({"iris": b"{}"}) is None
    shard_servers[1].start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    wait_until(lambda: "maxmemory-policy" in consumer._shards[1]._obstacle, what="the check")
    shard_servers[1].kill()
    shard_servers[1].start()
    wait_until(lambda: consumer._shards[1].health.is_there, what="the shard")
    [job_id] = await submit(producers[1])
    assert [job.id for job in consumer.wait_and_claim(5).jobs] == [job_id]


def test_servers_in_another_order_than_before_are_refused(consumer, shard_servers, sharded_settings):
    consumer.check_server()
    urls = ",".join(server.url for server in reversed(shard_servers))
    other = open_consumer(sharded_settings.model_copy(update={"redis_url": urls}), "worker-2", ["iris"])
    with pytest.raises(InvalidSettingError, match="as shard 0, and it is shard 1"):
        other.check_server()
    other.close()


async def test_queue_is_drained_once_no_shard_has_any_of_its_jobs(consumer, producers, shard_servers):
    consumer.announce({"iris": b"{}"})
    assert consumer.withdraw(["iris"]) == ["drained"]
    await submit(producers[1])
    assert consumer.withdraw(["iris"]) == ["open"]
    consumer.finish([Outcome(job, b"1") for job in consumer.claim(1)])
    shard_servers[1].kill()
    assert consumer.withdraw(["iris"]) == ["open"]  # nobody knows


async def test_stores_of_all_shards_are_swept_though_one_cannot_be_used(
    sharded_settings, tmp_path, producers
):
    store = tmp_path / "blobs"
    settings = sharded_settings.model_copy(update={"blob_store": store.as_uri(), "blob_bytes": 100})
    consumer = open_consumer(settings, "worker-1", ["iris"])
    try:
        ids = [await submit(producer) for producer in producers]
        outcomes = [Outcome(job, LARGE) for job in consumer.claim(1) + consumer.claim(1)]
        offloaded = consumer.offload_results(outcomes)
        assert all(one.offloaded_at and len(one.result) < 1000 for one in offloaded)
        assert consumer.finish(offloaded) == ["completed"] * len(ids)
        assert consumer.identify_blob_store()
        assert consumer.sweep_blobs() == 0
        shutil.rmtree(store)
        store.write_text("no folder")
        with pytest.raises(StoreUnavailableError):
            consumer.sweep_blobs()
    finally:
        consumer.close()


async def test_rollouts_are_those_of_the_shard_in_which_they_were_changed_last(producers, consumer):
    worker, rollout = WorkerInfo("worker-1", "host", 1, ("iris",), datetime.now(UTC)), Rollout(serve="2")
    _, generation = await producers[1].change_rollout("iris", lambda _: rollout)
    assert consumer.heartbeat(worker, {"iris": b"{}"}, 60) == generation
    assert consumer.read_rollouts() == {"iris": rollout}


async def test_shadow_jobs_are_in_the_shards_of_their_primaries(producers, consumer, shard_servers):
    consumer.serve({"iris": "", SHADOW: ""})
    for producer in producers:
        await submit(producer)
    samples = [ShadowSample(job, SHADOW, 0.1, 1, 1, 0.0) for job in consumer.claim(1) + consumer.claim(1)]
    assert consumer.shadow_jobs.submit(samples) == 0
    assert Counter(job.shard for _ in range(2) for job in consumer.claim({SHADOW: 5})) == {0: 1, 1: 1}
    assert not consumer.shadow_findings.is_harmful(SHADOW)

    shard_servers[0].kill()
    more = [
        sample._replace(job=sample.job._replace(id=f"{number}" * 32)) for number, sample in enumerate(samples)
    ]
    assert consumer.shadow_jobs.submit(more) == 1
    consumer.shadow_findings.note_skipped(SHADOW, 1)
    consumer.shadow_jobs.cancel_waiting(SHADOW)
    assert consumer.claim({SHADOW: 5}) == []
    with shard_servers[1].client() as client:
        assert client.hget(f"queue:{SHADOW}:comparisons", "skipped") == b"1"

    shard_servers[1].kill()
    with pytest.raises(RedisUnavailableError):
        consumer.shadow_findings.is_harmful(SHADOW)
    with pytest.raises(RedisUnavailableError):
        consumer.shadow_findings.note_skipped(SHADOW, 1)
    with pytest.raises(RedisUnavailableError):
        consumer.shadow_findings.is_harmful(SHADOW)  # that they are away is known by now


async def test_job_that_must_run_alone_is_taken_from_its_shard(producers, consumer, sharded_settings):
    """One that killed its worker stands at the head of its list."""
    short = sharded_settings.model_copy(update={"lease_seconds": 0.1})
    dead = open_consumer(short, "worker-2", ["iris"])
    [killer] = await submit(producers[1])
    assert [job.id for job in dead.claim(1)] == [killer]
    dead.close()
    wait_until(lambda: consumer.recover().lapsed, what="the lease")
    found = wait_until(lambda: take_ahead(consumer), what="the job")
    assert [(job.id, job.attempt) for job in found] == [(killer, 2)]


def take_ahead(consumer):
    """Claims as a worker does in whose runs nothing may die with others: what must run alone comes later."""
    consumer.recover()
    for takes_solo in (False, True):
        claim = consumer.prepare_prefetch([], {"iris": 5}, takes_solo=takes_solo)
        claim.send()
        if jobs := claim.answer().jobs:
            assert takes_solo
            return jobs
        if consumer.is_blocked_by_solo_job:
            continue
        return None
    return None


async def test_jobs_of_a_claim_whose_answer_was_lost_are_queued_again(producers, consumer, monkeypatch):
    ids = await submit(producers[0], 3)
    access = consumer._shards[0].consumer.access
    call = access.call

    def call_and_lose(*arguments):
        call(*arguments)
        monkeypatch.undo()
        raise RedisConnectionError("lost")

    monkeypatch.setattr(access, "call", call_and_lose)
    assert consumer.claim(2) == []
    found = wait_until(lambda: consumer.wait_and_claim(5, timeout_seconds=0.1).jobs, what="the jobs")
    assert [(job.id, job.attempt) for job in found] == [(job_id, 1) for job_id in ids]
