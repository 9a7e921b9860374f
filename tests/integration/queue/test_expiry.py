"""Jobs that say in how many seconds they must have started."""

import time

import pytest

from inferq.errors import ErrorKind, ModelError
from inferq.jobs import Outcome, Status
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.keys import Keys
from tests.records import change_record, record
from tests.recovery import recover_until_failed

DATA = b"[[5.1,3.5,1.4,0.2]]"
DEADLINES = Keys().deadlines("iris")


@pytest.fixture
def pass_deadline(redis_client):
    """Lets the time be over by which jobs must have started."""

    def pass_deadline(*job_ids):
        moment = round(time.time() * 1000) - 1
        for job_id in job_ids:
            change_record(redis_client, job_id, start_by_ms=moment)
            if redis_client.zscore(DEADLINES, job_id) is not None:
                redis_client.zadd(DEADLINES, {job_id: moment})

    return pass_deadline


def submission(seconds=60.0, **fields):
    return Submission("iris", DATA, expires_in_seconds=seconds, **fields)


async def fetch_end(producer, job_id):
    job = await producer.read(job_id)
    return job.status, job.error_kind, job.attempts


EXPIRED = (Status.FAILED, ErrorKind.EXPIRED, 0)


async def test_job_that_is_taken_too_late_fails_as_expired_without_running(producer, consumer, pass_deadline):
    late, fine = await producer.submit(submission()), await producer.submit(submission())
    pass_deadline(late)
    assert [job.id for job in consumer.claim(2)] == [fine]
    assert await fetch_end(producer, late) == EXPIRED
    assert "expires_in" in (await producer.read(late)).error


async def test_jobs_deep_in_the_queue_expire_in_time(producer, consumer, redis_client, pass_deadline):
    waiting = await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    late = await producer.submit_batch([submission() for _ in range(250)])
    last = await producer.submit(submission())
    pass_deadline(*late)
    assert consumer.recover().failed == 250
    assert {await fetch_end(producer, job_id) for job_id in (late[0], late[-1])} == {EXPIRED}
    assert redis_client.llen("queue:iris") == 4
    assert (await producer.read(last)).queue_position == 4
    assert [job.id for job in consumer.claim(10)] == [*waiting, last]


async def test_jobs_of_a_model_without_a_worker_expire_in_time(producer, consumer, redis_client):
    late = await producer.submit(Submission("other", DATA, expires_in_seconds=0.001))
    recover_until_failed(consumer, redis_client, late)
    assert await fetch_end(producer, late) == EXPIRED


async def test_attempt_that_began_in_time_may_be_retried(producer, consumer, redis_client, pass_deadline):
    job_id = await producer.submit(submission())
    [job] = consumer.claim(1)
    pass_deadline(job_id)
    assert consumer.recover().failed == 0
    assert consumer.finish([Outcome(job, error=ModelError("No."))]) == ["retrying"]
    redis_client.zadd("queue:iris:retries", {job_id: 0})
    assert consumer.recover().due == 1
    [again] = consumer.claim(1)
    assert consumer.finish([Outcome(again, result=b"1")]) == ["completed"]


async def test_attempt_that_does_not_count_is_no_start(producer, consumer, pass_deadline):
    job_id = await producer.submit(submission())
    consumer.requeue(consumer.claim(1))
    pass_deadline(job_id)
    assert consumer.recover().failed == 1
    assert await fetch_end(producer, job_id) == EXPIRED


async def test_index_holds_only_jobs_that_have_a_deadline_and_have_not_ended(
    producer, consumer, redis_client
):
    await producer.submit(Submission("iris", DATA))
    done, cancelled, waits = [await producer.submit(submission()) for _ in range(3)]
    await producer.cancel(cancelled)
    jobs = consumer.claim(2)
    assert jobs[1].id == done
    consumer.finish([Outcome(job, result=b"1") for job in jobs])
    assert redis_client.zrange(DEADLINES, 0, -1) == [waits.encode()]
    assert redis_client.pttl(DEADLINES) > 0


async def test_expired_job_that_is_retried_has_as_much_time_again(
    producer, consumer, redis_client, pass_deadline
):
    job_id = await producer.submit(submission(60.0))
    submitted_ms = int(record(redis_client, job_id)["submitted_ms"])
    change_record(redis_client, job_id, submitted_ms=submitted_ms - 60_000, start_by_ms=submitted_ms - 1)
    redis_client.zadd(DEADLINES, {job_id: submitted_ms - 1})
    assert consumer.recover().failed == 1
    await producer.retry(job_id)
    fields = record(redis_client, job_id)
    assert int(fields["start_by_ms"]) - int(fields["submitted_ms"]) == 59_999
    assert redis_client.zscore(DEADLINES, job_id) == int(fields["start_by_ms"])
    assert [job.id for job in consumer.claim(1)] == [job_id]


async def test_job_that_a_program_from_outside_runs_does_not_expire(
    producer, consumer, redis_client, pass_deadline
):
    job_id = await producer.submit(submission())
    redis_client.brpop("queue:iris")
    redis_client.set(f"job:{job_id}:status", "processing")
    pass_deadline(job_id)
    consumer.recover()
    assert (await producer.read(job_id)).status is Status.PROCESSING


async def test_corrupt_index_costs_only_the_time_until_its_turn(producer, consumer, redis_client):
    redis_client.set(DEADLINES, "odd")
    job_id = await producer.submit(submission())
    change_record(redis_client, job_id, start_by_ms=1)
    consumer.recover()
    assert (await producer.read(job_id)).status is Status.PENDING
    assert consumer.claim(1) == []
    assert await fetch_end(producer, job_id) == EXPIRED
