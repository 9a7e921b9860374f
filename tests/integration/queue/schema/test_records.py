"""The hash of all jobs' records: what goes when, and what other programs may make of it."""

import asyncio
import json
import time

import pytest

from inferq.errors import ErrorKind, InvalidInputError, JobNotFoundError, ModelError, RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, OutboxEntry, WebhookOutbox
from tests.integration.queue.commits import replace_commit
from tests.records import change_record, known, leased, record, turn_clock, write_record
from tests.recovery import recover_until_failed
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


def complete(consumer, count=1):
    jobs = consumer.claim(count)
    assert len(jobs) == count
    assert consumer.finish([Outcome(job, result=b"1") for job in jobs]) == ["completed"] * count


def make_due(client, models=("iris",)):
    """Makes every ended job's time be over."""
    for job_id in known(client):
        if record(client, job_id)["state"] == "ended":
            change_record(client, job_id, ended_ms=1)
            client.delete(*(f"job:{job_id}:{part}" for part in ("status", "result", "error", "data")))
    for index in (f"queue:{model}:{index}" for model in models for index in ("completed", "dead")):
        for entry in client.zrange(index, 0, -1):
            client.zadd(index, {entry: 1})


async def test_records_of_ended_jobs_go_when_their_time_is_over(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(5)]
    complete(consumer, 3)
    [failed] = consumer.claim(1)
    consumer.finish([Outcome(failed, error=InvalidInputError("No."))])
    consumer.recover()
    assert len(known(redis_client)) == 5

    make_due(redis_client)
    consumer.recover()

    assert known(redis_client) == {ids[-1]}
    assert not redis_client.exists("queue:iris:completed", "queue:iris:dead")


async def test_records_of_models_that_no_worker_serves_go_too(producer, consumer, settings, redis_client):
    for model in ("iris", "gone", "gone-too"):
        job_id = await producer.submit(Submission(model, DATA))
        await producer.cancel(job_id)
    make_due(redis_client, ("iris", "gone", "gone-too"))
    assert redis_client.smembers("jobs:queues") == {b"iris", b"gone", b"gone-too"}
    for _ in range(4):
        consumer.recover()
    assert len(known(redis_client)) == 0
    assert not redis_client.exists("jobs:queues")


async def test_record_stays_as_long_as_the_status_which_was_given_a_longer_lifetime(
    producer, consumer, redis_client
):
    job_id = await producer.submit(Submission("iris", DATA, owner="alice"))
    complete(consumer)
    change_record(redis_client, job_id, ended_ms=1)
    [entry] = redis_client.zrange("queue:iris:completed", 0, -1)
    redis_client.zadd("queue:iris:completed", {entry: 1})
    consumer.recover()
    with pytest.raises(JobNotFoundError):
        await producer.read(job_id, "bob")
    assert (await producer.read(job_id, "alice")).result == b"1"
    redis_client.delete(f"job:{job_id}:status", f"job:{job_id}:result")
    consumer.recover()
    assert len(known(redis_client)) == 0


async def test_jobs_of_a_batch_that_is_not_yet_accepted_are_left_alone(
    producer, eager_consumer, redis_client, monkeypatch
):
    rescued = []

    async def commit_late(commit):
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            rescued.extend(eager_consumer.requeue_orphans())
            await asyncio.sleep(0.01)
        return await commit()

    replace_commit(monkeypatch, commit_late)
    ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    assert rescued == []
    assert [job.id for job in eager_consumer.claim(4)] == ids
    assert redis_client.keys("job:*:staged") == redis_client.keys("job:*:missing") == []


async def test_records_live_on_with_a_job_that_is_tried_again_or_cancelled(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA, owner="alice"))
    redis_client.expire("jobs:records", 60)
    await producer.cancel(job_id)
    assert redis_client.ttl("jobs:records") >= redis_client.ttl(f"job:{job_id}:status")
    redis_client.expire("jobs:records", 60)
    await producer.retry(job_id)
    assert redis_client.ttl("jobs:records") >= redis_client.ttl(f"job:{job_id}:status")


async def test_workers_remove_as_many_records_as_they_add(producer, consumer, redis_client):
    for _ in range(10):
        await producer.submit(Submission("iris", DATA))
        complete(consumer)
        make_due(redis_client)
    assert len(known(redis_client)) <= 2


async def test_record_of_a_job_that_began_anew_stays(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    await producer.cancel(job_id)
    await producer.retry(job_id)
    complete(consumer)
    redis_client.zadd("queue:iris:dead", {job_id: 1})  # what is left of its first end
    consumer.recover()
    assert not redis_client.exists("queue:iris:dead")
    assert (await producer.read(job_id)).attempts == 1


async def test_ended_job_is_known_as_long_as_its_status(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    complete(consumer)
    redis_client.delete(f"job:{job_id}:status", f"job:{job_id}:result")

    with pytest.raises(JobNotFoundError):
        await producer.read(job_id)
    with pytest.raises(JobNotFoundError):
        await producer.delete(job_id)
    again = await producer.submit(Submission("iris", DATA, id=job_id))
    assert (again, (await producer.read(job_id)).status) == (job_id, Status.PENDING)
    complete(consumer)


async def test_all_keys_of_records_expire_where_nothing_happens_any_more(producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA))
    assert redis_client.ttl("jobs:records") > 0
    complete(consumer)
    redis_client.persist("jobs:records")
    consumer.recover()
    assert redis_client.ttl("jobs:records") > 0


@pytest.mark.parametrize("is_batch", [False, True])
async def test_records_in_a_key_of_the_wrong_type_refuse_jobs_and_lose_none(
    producer, settings, redis_client, is_batch
):
    consumer = Consumer(settings, "worker-1", ["iris"])
    outbox = WebhookOutbox(settings)
    await producer.submit(Submission("iris", DATA))
    [running] = consumer.claim(1)
    waiting = await producer.submit(Submission("iris", DATA))
    redis_client.rename("jobs:records", "kept")
    redis_client.set("jobs:records", "no hash")

    with pytest.raises(RedisUnavailableError, match="'jobs:records'"):
        await (
            producer.submit_batch([Submission("iris", DATA)])
            if is_batch
            else producer.submit(Submission("iris", DATA))
        )
    report = OutboxEntry(waiting.encode(), "https://example.com/hook", 1, 0, 1)
    for call in (
        lambda: consumer.claim(1), consumer.recover, lambda: consumer.renew({running: 60.0}),
        lambda: consumer.finish([Outcome(running, error=ModelError("No."))]),
        lambda: consumer.finish([Outcome(running, result=b"1")]), lambda: outbox.lease(1, 60.0),
        lambda: outbox.ack([DeliveryOutcome(report, DeliveryVerdict.DELIVERED)]),
    ):  # fmt: skip
        with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
            call()
    for ask in (producer.read, producer.cancel, producer.retry, producer.delete):
        with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
            await ask(waiting)
    assert redis_client.lrange("queue:iris", 0, -1) == [waiting.encode()]

    redis_client.rename("kept", "jobs:records")
    assert consumer.finish([Outcome(running, result=b"1")]) == ["completed"]
    complete(consumer)
    assert (await producer.read(waiting)).status is Status.COMPLETED
    outbox.close()
    consumer.close()


@pytest.mark.parametrize("usual", [True, False])
async def test_job_tells_which_version_its_latest_attempt_ran_with(settings, producer, usual):
    job_id = await producer.submit(Submission("iris", DATA, webhook=None if usual else "https://example.com"))
    assert (await producer.read(job_id)).model_version is None
    for version, error in (("0a1b2c3d4e5f", ModelError("It broke.")), ("5f4e3d2c1b0a", None)):
        consumer = Consumer(settings, "worker-1", ["other", "iris"], {"other": "other", "iris": version})
        [job] = wait_until(lambda: (consumer.recover(), consumer.claim(1))[1], what="the try")  # noqa: B023
        assert (await producer.read(job_id)).model_version == version
        consumer.finish([Outcome(job, result=None if error else b"1", error=error)])
        assert (await producer.read(job_id)).model_version == version
        consumer.close()


async def test_record_of_an_earlier_build_without_the_version_is_run_and_read(
    producer, consumer, redis_client
):
    before = "queued||||||7|iris|normal|1700000000000|500|alice|"
    job_id, other = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    redis_client.hset("jobs:records", job_id, before + '{"webhook":"https://a.b/|c|"}')
    redis_client.hset("jobs:records", other, before.replace("1700000000000", str(2**41)))
    jobs = {one.id: one for one in await producer.read_many([job_id, other])}
    assert {(job.model, job.owner, job.model_version) for job in jobs.values()} == {("iris", "alice", None)}
    assert jobs[job_id].webhook.url == "https://a.b/|c|"
    [job] = consumer.claim(2)
    assert (job.id, job.timeout_seconds) == (other, 0.5)
    assert consumer.finish([Outcome(job, result=b"1")]) == ["completed"]
    assert (await producer.read(job_id)).error_kind is ErrorKind.EXPIRED


@pytest.mark.parametrize("pipes", ["|", "||", "|||", "||||"])
async def test_record_of_an_earlier_build_without_the_content_is_run_and_read(
    producer, consumer, redis_client, pipes
):
    job_id = await producer.submit(Submission("iris", DATA))
    url = "https://a.b/" + pipes + "{c"
    record = redis_client.hget("jobs:records", job_id).removesuffix(b"||||")
    redis_client.hset("jobs:records", job_id, record + json.dumps({"webhook": url}).encode())
    assert (await producer.read(job_id)).webhook.url == url
    complete(consumer)
    job = await producer.read(job_id)
    assert (job.status, job.webhook.url) == (Status.COMPLETED, url)


@pytest.mark.parametrize("corrupt", ["no record", "queued|||||||||||||{", "|" * 14, "leased||||||||||||||[]"])
async def test_open_job_with_a_corrupt_record_fails_once_recovery_meets_it(
    producer, consumer, redis_client, corrupt
):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop(["queue:iris"])
    redis_client.hset("jobs:records", job_id, corrupt)
    recover_until_failed(consumer, redis_client, job_id)
    good = await producer.submit(Submission("iris", DATA))
    complete(consumer)
    assert (await producer.read(good)).status is Status.COMPLETED


async def test_corrupt_entries_among_the_ended_are_passed_over(producer, consumer, redis_client):
    for index in ("queue:iris:completed", "queue:iris:dead"):
        redis_client.zadd(
            index, {"corrupt": 1, "[": 1, "[[]]": 1, "[7]": 1, "{}": 1, "[]": 1, "7": 1, "\xff": 1}
        )
    await producer.submit(Submission("iris", DATA))
    complete(consumer)
    consumer.recover()
    assert redis_client.zcard("queue:iris:completed") == 1
    assert redis_client.zcard("queue:iris:dead") == 0


@pytest.mark.parametrize("key", ["queue:iris:completed", "queue:iris:rate"])
async def test_books_of_the_wrong_type_keep_no_job_from_completing(producer, consumer, redis_client, key):
    redis_client.set(key, "corrupt")
    job_id = await producer.submit(Submission("iris", DATA))
    complete(consumer)
    consumer.recover()
    assert (await producer.read(job_id)).status is Status.COMPLETED


async def test_rate_falls_once_nothing_ends(producer, consumer, redis_client):
    redis_client.hset("models", "iris", "{}")
    for _ in range(4):
        await producer.submit(Submission("iris", DATA))
    complete(consumer, 4)
    assert 0.3 < (await producer.read_stats()).models["iris"].jobs_per_second <= 0.4
    consumer.recover()
    kept = redis_client.hgetall("queue:iris:rate")
    assert kept[b"ended"] == b"4"
    redis_client.hset("queue:iris:rate", "at_ms", int(kept[b"at_ms"]) - 20_000)
    assert 0.03 < (await producer.read_stats()).models["iris"].jobs_per_second < 0.06
    redis_client.hset("queue:iris:rate", "at_ms", int(kept[b"at_ms"]) + 10**9)  # the clock was set back
    assert 0.3 < (await producer.read_stats()).models["iris"].jobs_per_second <= 0.4


async def test_lease_goes_on_while_one_job_of_its_claim_may_run(producer, settings, redis_client):
    consumer = Consumer(settings.model_copy(update={"lease_seconds": 300.0}), "worker-1", ["iris"])
    for _ in range(3):
        await producer.submit(Submission("iris", DATA))
    jobs = consumer.claim(3)
    longest = dict(zip(jobs, (50.0, 50.0, 6000.0), strict=True))
    for _ in range(6):
        turn_clock(redis_client, 100.0)
        assert [*consumer.renew(longest).values()] == ["overdue", "overdue", "renewed"]
        assert consumer.recover().lapsed == 0
    turn_clock(redis_client, 301.0)
    assert consumer.recover().lapsed == 3
    consumer.close()


async def test_job_that_leaves_a_claim_early_leaves_its_lease(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]
    jobs = consumer.claim(4)
    await producer.cancel(ids[0])
    consumer.requeue(jobs[1:2])
    consumer.finish([Outcome(jobs[2], error=ModelError("No."))])
    assert leased(redis_client) == ids[3:]
    consumer.finish([Outcome(jobs[3], result=b"1")])
    assert leased(redis_client) == []
    assert redis_client.keys("claim:*") == []
    assert not redis_client.exists("queue:iris:leases")


@pytest.mark.parametrize("is_list_lost", [False, True])
async def test_leased_jobs_whose_lease_is_lost_are_reclaimed(producer, consumer, redis_client, is_list_lost):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job, *_] = consumer.claim(3)
    redis_client.delete("queue:iris:leases")
    if is_list_lost:
        redis_client.delete(f"claim:{job.token}")
    assert consumer.recover().lapsed == 3
    assert [job.id for _ in ids for job in consumer.claim(1)] == ids
    assert (await producer.read(ids[0])).attempts == 2


CORRUPT_TAILS = [
    '{"error_kind":[1]}', '{"webhook":"http://x","webhook_ms":[1]}', '{"model":[2]}', '{"webhook":{"a":2}}',
    '{"webhook":7,"webhook_ms":1e300}', '{"attempt:1":7,"state":"queued"}', '{"owner":null,"alone":true}',
]  # fmt: skip


@pytest.mark.parametrize("tail", CORRUPT_TAILS)
@pytest.mark.parametrize("status", list(Status))
async def test_corrupt_values_in_a_record_harm_no_other_job(producer, settings, redis_client, tail, status):
    outbox = WebhookOutbox(settings)
    good = await producer.submit(Submission("iris", DATA, webhook="https://example.com/hook"))
    await producer.cancel(good)
    redis_client.set("job:corrupt:status", status)
    for model in ("iris", ""):
        redis_client.hset("jobs:records", "corrupt", f"ended|5|1|5|t|w|1|{model}|normal|5|||{tail}")
        redis_client.zadd("webhooks", {"corrupt": 1})
        corrupt, fine = await producer.read_many(["corrupt", good])
        assert (corrupt.status, fine.status) == (status, Status.FAILED)
        await producer.read_stats()
    reported, _ = outbox.lease(10, 60)
    assert good in [report.job_id for report in reported]
    outbox.close()


async def test_entries_that_have_to_stay_keep_no_others_from_going(producer, consumer, redis_client):
    corrupt = [f"corrupt-{number}" for number in range(2500)]
    for job_id in corrupt:
        write_record(redis_client, job_id, state="ended", ended_ms=1, model="iris")
    redis_client.zadd("queue:iris:completed", {f'["{job_id}"]': 1 for job_id in corrupt})
    redis_client.mset({f"job:{job_id}:status": "completed" for job_id in corrupt})
    for number in range(10):
        write_record(redis_client, f"due-{number}", state="ended", ended_ms=2, model="iris")
        redis_client.zadd("queue:iris:completed", {f'["due-{number}"]': 2})

    for _ in range(4):
        consumer.recover()
    assert len(known(redis_client)) == 2500

    redis_client.delete(*(f"job:{job_id}:status" for job_id in corrupt))
    for _ in range(5):
        consumer.recover()
    assert not redis_client.exists(
        "jobs:records", "queue:iris:completed", "queue:iris:cursor:completed", "jobs:queues"
    )


async def test_corrupt_keys_of_another_model_stop_no_worker(producer, consumer, redis_client):
    for model in ("aaa", "zzz"):
        job_id = await producer.submit(Submission(model, DATA))
        await producer.cancel(job_id)
    make_due(redis_client, ("zzz",))
    redis_client.delete("queue:aaa:dead")
    for key in ("queue:aaa:leases", "queue:aaa:dead", "queue:aaa:cursor:dead"):
        redis_client.set(key, "x")
    redis_client.sadd("jobs:queues", b"\xff\xfe", "")
    for _ in range(6):
        consumer.recover()
    assert not redis_client.exists("queue:zzz:dead")
    assert redis_client.smembers("jobs:queues") <= {b"aaa", b""}


async def test_jobs_live_on_where_the_set_of_queues_is_of_the_wrong_type(producer, consumer, redis_client):
    redis_client.set("jobs:queues", "x")
    job_id = await producer.submit(Submission("iris", DATA))
    await producer.cancel(job_id)
    await producer.retry(job_id)
    [batched] = await producer.submit_batch([Submission("iris", DATA)])
    consumer.recover()
    complete(consumer, 2)
    assert [job.status for job in await producer.read_many([job_id, batched])] == [Status.COMPLETED] * 2


async def test_nothing_shortens_the_life_of_the_records(producer, settings, redis_client):
    await producer.submit(Submission("iris", DATA))
    before = redis_client.pttl("jobs:records")
    hasty = Consumer(
        settings.model_copy(update={"result_ttl_seconds": 0.5, "job_ttl_seconds": 1.0}), "worker-2", ["other"]
    )
    hasty.recover()
    hasty.close()
    assert redis_client.pttl("jobs:records") > before - 60_000


@pytest.mark.parametrize("rest", ["[" * 100_000, '{"a":' * 100_000, "[1]", '{"webhook":null}'])
async def test_record_that_no_parser_takes_is_read(producer, redis_client, rest):
    redis_client.hset("jobs:records", "corrupt", f"ended|5|1|5|t|w|1|iris|normal|5|||{rest}")
    redis_client.set("job:corrupt:status", "failed")
    job = await producer.read("corrupt")
    assert (job.status, job.webhook) == (Status.FAILED, None)
