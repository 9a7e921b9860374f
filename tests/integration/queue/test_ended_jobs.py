"""Each end of a job that no worker reports is told once, by the call that has made it or found it."""

import pytest

from inferq.errors import ErrorKind, InvalidInputError, JobStateError
from inferq.jobs import Outcome, Status
from inferq.queue import Consumer, JobAction, JobFilter, Producer, Submission
from inferq.queue.consumer.recovery.recovery import Recovered
from tests.integration.queue.consumer.claiming import claim_next
from tests.records import change_record
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


class Told(list):
    """What was told."""

    def note(self, jobs):
        assert jobs
        self.extend(jobs)

    def kinds(self):
        return {job.id: job.error_kind or job.status for job in self}


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def producer(settings, told):
    producer = Producer.from_settings(settings, told.note)
    yield producer
    await producer.close()


@pytest.fixture
def consumer(settings, told):
    consumer = Consumer(settings, "worker-1", ["iris"], {"iris": "9f2c"}, note_ended=told.note)
    yield consumer
    consumer.close()


@pytest.fixture
def fragile_consumer(settings, told):
    """A consumer whose leases soon lapse; a job that has once killed its worker is given up."""
    short = settings.model_copy(update={"lease_seconds": 0.05, "max_attempts": 1})
    consumer = Consumer(short, "worker-2", ["iris"], {"iris": "9f2c"}, note_ended=told.note)
    yield consumer
    consumer.close()


async def submit(producer, model="iris", **fields):
    return await producer.submit(Submission(model, DATA, request_id="r-1", **fields))


def end_outside(redis_client, job_id, status="completed"):
    redis_client.set(f"job:{job_id}:{'result' if status == 'completed' else 'error'}", "5")
    redis_client.set(f"job:{job_id}:status", status)


async def test_cancelled_job_is_told_with_its_ids_and_times(producer, consumer, told):
    waiting, running = await submit(producer), await submit(producer, priority="low")
    await producer.cancel(waiting)
    [claimed] = consumer.claim(1)
    await producer.cancel(running)
    with pytest.raises(JobStateError):
        await producer.cancel(running)
    assert consumer.finish([Outcome(claimed, result=b"1")]) == ["stale"]
    first, second = told
    assert (first.id, first.model, first.request_id) == (waiting, "iris", "r-1")
    assert (first.status, first.error_kind, first.attempts) == (Status.FAILED, ErrorKind.CANCELLED, 0)
    assert (second.id, second.attempts, second.model_version) == (running, 1, "9f2c")
    assert second.error == "The job was cancelled."
    assert second.submitted_at <= second.history[-1].started_at <= second.finished_at


async def test_cancellation_whose_answer_was_lost_is_told_once(producer, told, monkeypatch):
    job_id = await submit(producer)
    send = producer.redis.client.execute_command

    async def send_twice(*command):
        await send(*command)
        return await send(*command)

    monkeypatch.setattr(producer.redis.client, "execute_command", send_twice)
    await producer.cancel(job_id)
    assert told.kinds() == {job_id: ErrorKind.CANCELLED}
    assert len(told) == 1


async def test_all_jobs_that_are_cancelled_at_once_are_told(producer, told, redis_client):
    ids = [await submit(producer, priority=priority) for priority in ("high", "normal", "low")]
    redis_client.set("job:pushed:data", DATA)
    redis_client.lpush("queue:iris", "pushed")
    assert await producer.cancel_waiting("iris") == 4
    assert await producer.cancel_waiting("iris") == 0
    assert sorted(job.id for job in told) == sorted([*ids, "pushed"])
    assert set(told.kinds().values()) == {ErrorKind.CANCELLED}


async def test_jobs_that_an_action_cancels_are_told(producer, told):
    ids = [await submit(producer) for _ in range(3)]
    await producer.act_on_jobs(JobAction.CANCEL, ["iris"], only=JobFilter(), is_dry_run=True)
    assert told == []
    for _ in range(2):
        await producer.act_on_jobs(JobAction.CANCEL, ["iris"], only=JobFilter())
    assert sorted(job.id for job in told) == sorted(ids)


@pytest.mark.parametrize("model", ["iris", "other"])
async def test_job_that_recovery_finds_expired_is_told(producer, consumer, told, model):
    late, old = await submit(producer, model, expires_in_seconds=0.001), await submit(producer, model)
    change_record(consumer.access.redis, old, submitted_ms=1)
    wait_until(lambda: (consumer.recover(), len(told) == 2)[1], what="both ends")
    consumer.recover()
    assert told.kinds() == dict.fromkeys([late, old], ErrorKind.EXPIRED)
    assert len(told) == 2
    assert {(job.model, job.request_id, job.attempts) for job in told} == {(model, "r-1", 0)}
    assert "expires_in" in next(job.error for job in told if job.id == late)


@pytest.mark.parametrize("ahead", [False, True])
async def test_job_that_a_claim_ends_instead_of_leasing_it_is_told(producer, consumer, told, ahead):
    late, fine = await submit(producer), await submit(producer)
    change_record(consumer.access.redis, late, start_by_ms=1)
    if ahead:
        prefetched = consumer.prepare_prefetch([], {"iris": 5})
        prefetched.send()
        jobs = prefetched.answer().jobs
    else:
        jobs = consumer.claim(5)
    assert [job.id for job in jobs] == [fine]
    assert told.kinds() == {late: ErrorKind.EXPIRED}
    assert len(told) == 1


async def test_job_whose_keys_cannot_be_read_is_told(producer, consumer, told, redis_client):
    redis_client.set("job:odd:data", DATA)
    redis_client.hset("jobs:records", "odd", "odd")
    redis_client.lpush("queue:iris", "odd")
    assert claim_next(consumer) == []
    assert told.kinds() == {"odd": ErrorKind.INVALID_INPUT}


async def test_job_that_killed_its_worker_too_often_is_told(producer, fragile_consumer, told):
    job_id = await submit(producer)
    for _ in range(2):  # the first time is not charged
        wait_until(lambda: fragile_consumer.claim(1), what="the job")
        assert told == []
        wait_until(lambda: fragile_consumer.recover() != Recovered(), what="the lapsed lease")
    [job] = told
    assert (job.id, job.error_kind, job.attempts, job.request_id) == (job_id, ErrorKind.CRASHED, 2, "r-1")
    assert job.history[-1].finished_at == job.finished_at


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_end_that_a_worker_from_outside_has_made_is_told_by_whoever_finds_it(
    producer, consumer, told, redis_client, status
):
    waits, runs, cancelled, deleted = [await submit(producer) for _ in range(4)]
    claimed = {job.id: job for job in consumer.claim(4)}
    consumer.requeue([claimed[waits]])
    for job_id in claimed:
        end_outside(redis_client, job_id, status)
    consumer.recover()
    assert consumer.finish([Outcome(claimed[runs], error=InvalidInputError("No."))]) == ["stale"]
    with pytest.raises(JobStateError):
        await producer.cancel(cancelled)
    await producer.delete(deleted)
    consumer.requeue(list(claimed.values()))
    consumer.recover()
    assert told.kinds() == dict.fromkeys([waits, runs, cancelled, deleted], Status(status))
    assert len(told) == 4


async def test_end_that_a_worker_reports_is_told_by_nobody_else(producer, consumer, told):
    await submit(producer)
    await submit(producer)
    good, bad = consumer.claim(2)
    outcomes = [Outcome(good, result=b"1"), Outcome(bad, error=InvalidInputError("No."))]
    assert consumer.finish(outcomes) == ["completed", "failed"]
    consumer.finish(outcomes)
    consumer.recover()
    assert told == []
