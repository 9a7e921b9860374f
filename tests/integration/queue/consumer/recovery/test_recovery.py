"""Jobs whose worker died, or that were popped but never claimed."""

from inferq.errors import ErrorKind, InvalidInputError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import complete
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


async def test_lost_job_is_found_behind_many_that_outside_workers_run(producer, eager_consumer, redis_client):
    outside = [await producer.submit(Submission("iris", DATA)) for _ in range(350)]
    for job_id in outside:
        redis_client.rpop("queue:iris")
        redis_client.set(f"job:{job_id}:status", "processing", keepttl=True)
    lost = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")  # and the worker dies

    assert wait_until(lambda: eager_consumer.recover().missing, what="the lost job") == 1
    assert [job.id for job in eager_consumer.claim(5)] == [lost]
