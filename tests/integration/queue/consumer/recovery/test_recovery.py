"""Jobs whose worker died, or that were popped but never claimed."""

from inferq.errors import ErrorKind, InvalidInputError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import complete
from tests.records import record, turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_job_of_a_dead_worker_runs_again_and_the_old_worker_cannot_fail_it(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1})
    dead, alive = Consumer(short, "dead", ["iris"]), Consumer(short, "alive", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    [lost] = dead.claim(1)
    wait_until(lambda: alive.recover().lapsed, what="the lapsed lease")
    [job] = alive.claim(1)

    assert job.id == job_id
    assert dead.renew({lost: 60.0}) == {lost: "lost"}
    assert dead.finish([Outcome(lost, error=InvalidInputError("late"))]) == ["stale"]
    assert complete(alive, job) == ["completed"]
    assert (await producer.read(job_id)).attempts == 2
    dead.close()
    alive.close()


async def test_job_popped_but_never_claimed_is_found_again(producer, eager_consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")

    wait_until(lambda: eager_consumer.recover().missing, what="the missing job")
    assert [job.id for job in eager_consumer.claim(1)] == [job_id]


async def test_job_that_kills_its_worker_each_time_ends_as_crashed(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1, "max_attempts": 2})
    consumer = Consumer(short, "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    for _ in range(2):
        assert consumer.claim(1)
        wait_until(lambda: consumer.recover().lapsed, what="the lapsed lease")
    assert consumer.claim(1)
    wait_until(lambda: consumer.recover().failed, what="the failure")

    failed = await producer.read(job_id)
    assert (failed.status, failed.error_kind) == (Status.FAILED, ErrorKind.CRASHED)
    consumer.close()


async def test_job_that_only_waited_for_files_is_not_to_blame(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    jobs = consumer.claim(3)
    consumer.renew(dict.fromkeys(jobs, 60.0), {jobs[0], jobs[1]})
    consumer.renew(dict.fromkeys(jobs, 60.0), {jobs[0]})  # the run of the second one has begun
    lapse(redis_client, consumer)
    assert [record(redis_client, job_id).get("alone") for job_id in ids] == [None, "1", "1"]
    [again] = consumer.claim(3)
    assert (again.id, again.attempt, again.runs_alone) == (ids[0], 2, False)
    assert "awaits_files" not in record(redis_client, ids[0])


async def test_job_that_waits_in_each_worker_that_dies_does_so_a_few_times_only(
    settings, producer, redis_client
):
    consumer = Consumer(settings.model_copy(update={"max_attempts": 3}), "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    assert wait_and_die(redis_client, consumer) == [False, False, False, False, True, True, True]
    assert (await producer.read(job_id)).error_kind is ErrorKind.CRASHED
    await producer.retry(job_id)
    assert wait_and_die(redis_client, consumer) == [False, False, False, False, True, True, True]
    consumer.close()


def wait_and_die(redis_client, consumer):
    """Lets a job wait in workers that die until it has ended; returns where it was to run alone."""
    alone = []
    while jobs := consumer.claim(1):
        alone += [job.runs_alone for job in jobs]
        consumer.renew(dict.fromkeys(jobs, 60.0), {*jobs})
        lapse(redis_client, consumer)
    return alone


async def test_job_that_waits_beside_one_that_kills_workers_outlives_it(settings, producer, redis_client):
    for attempts in (1, 2, 3):
        settings = settings.model_copy(update={"max_attempts": attempts})
        consumer = Consumer(settings, "worker-1", ["iris"])
        waiting, killer = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
        consumer.claim(2)  # the wait is not noted yet when the worker dies
        lapse(redis_client, consumer)
        while (await producer.read(killer)).status is not Status.FAILED:
            [job] = consumer.claim(1)
            assert job.id == waiting
            consumer.renew({job: 60.0}, {job})
            consumer.claim(1)
            lapse(redis_client, consumer)
        assert "failures" not in record(redis_client, waiting)
        assert complete(consumer, *consumer.claim(1)) == ["completed"]
        consumer.close()


async def test_job_that_failed_before_may_wait_in_a_worker_that_dies(settings, producer, redis_client):
    consumer = Consumer(settings.model_copy(update={"max_attempts": 4}), "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    for _ in range(2):
        consumer.claim(1)
        lapse(redis_client, consumer)
    jobs = consumer.claim(1)
    consumer.renew(dict.fromkeys(jobs, 60.0), {*jobs})
    lapse(redis_client, consumer)
    assert (await producer.read(job_id)).status is Status.PENDING
    assert record(redis_client, job_id)["failures"] == "1"
    consumer.close()


def lapse(redis_client, consumer):
    """Lets all leases lapse, as if the worker had died."""
    turn_clock(redis_client, consumer.access.settings.lease_seconds + 1)
    consumer.recover()


async def test_lost_job_is_found_behind_many_that_outside_workers_run(producer, eager_consumer, redis_client):
    outside = [await producer.submit(Submission("iris", DATA)) for _ in range(350)]
    for job_id in outside:
        redis_client.rpop("queue:iris")
        redis_client.set(f"job:{job_id}:status", "processing", keepttl=True)
    lost = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")  # and the worker dies

    assert wait_until(lambda: eager_consumer.recover().missing, what="the lost job") == 1
    assert [job.id for job in eager_consumer.claim(5)] == [lost]
