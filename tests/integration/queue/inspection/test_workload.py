"""What is expected of jobs in a real queue."""

from datetime import UTC, datetime

import pytest

from inferq.jobs import Pace, Priority, Progress, WorkerInfo
from inferq.queue.inspection.workload import LiveWorker, read_workload
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"
PACE = Pace(0.0, 30.0, 1)


@pytest.fixture
def beat(consumer):
    def beat(**paces):
        now = datetime.now(UTC)
        consumer.heartbeat(
            WorkerInfo("worker-1", "here", 1, ("iris",), now, paces=paces), {"iris": b"{}"}, 60
        )

    return beat


async def test_workload_is_what_waits_what_runs_and_who_works(producer, consumer, beat):
    beat(iris=PACE)
    await producer.submit_batch([Submission("iris", DATA) for _ in range(5)])
    await producer.submit(Submission("iris", DATA, Priority.HIGH))
    jobs = consumer.claim(3)
    read = await read_workload(producer.redis)
    assert read.workers == [LiveWorker("worker-1", ("iris",), {"iris": PACE})]
    assert read.models["iris"].waiting == {Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 0}
    [claim] = read.models["iris"].claims
    started_at = (await producer.read(jobs[0].id)).started_at
    assert (claim.worker, claim.jobs, claim.started_ms / 1000) == ("worker-1", 3, started_at.timestamp())
    assert claim.first_bytes == len(DATA)


async def test_workload_tells_how_much_of_a_large_job_is_left(producer, consumer, beat, redis_client):
    beat(iris=PACE)
    job_ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(2)])
    for _ in job_ids:
        consumer.claim(1)
    consumer.chunks.note_progress(job_ids[0], Progress(300, 1000, 70, 3.5))

    async def read_left():
        claims = (await read_workload(producer.redis)).models["iris"].claims
        return sorted((claim.left_chunks, claim.left_seconds) for claim in claims)

    assert await read_left() == [(0, 0), (70, 3.5)]
    assert (await producer.read(job_ids[0])).progress == Progress(300, 1000, 70, 3.5)
    for corrupt in ("", "1 2", "300 1000 x 3", f"1 2 3 {'9' * 30}"):
        redis_client.set(f"job:{job_ids[0]}:progress", corrupt)
        assert {seconds for _, seconds in await read_left()} == {0}
    redis_client.delete(f"job:{job_ids[0]}:progress")
    redis_client.rpush(f"job:{job_ids[0]}:progress", "no string")
    assert await read_left() == [(0, 0), (0, 0)]


async def test_waiting_and_running_jobs_tell_when_they_will_start_and_end(producer, consumer, beat):
    beat(iris=PACE)
    first, second, third = await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    consumer.claim(1)
    runs, waits, last = [await producer.read(job_id) for job_id in (first, second, third)]
    assert runs.expected_start_at is None
    assert (runs.expected_end_at - runs.started_at).total_seconds() == pytest.approx(30)
    assert waits.expected_start_at == runs.expected_end_at
    assert (last.expected_end_at - waits.expected_start_at).total_seconds() == pytest.approx(60)


async def test_a_larger_job_that_runs_is_expected_to_end_later(producer, consumer, beat):
    beat(iris=Pace(0.0, 30.0, 1, byte_seconds=1.0, job_bytes=len(DATA) - 12))
    first, second = await producer.submit_batch([Submission("iris", DATA) for _ in range(2)])
    consumer.claim(1)
    runs, waits = await producer.read(first), await producer.read(second)
    assert (runs.expected_end_at - runs.started_at).total_seconds() == pytest.approx(42)
    assert waits.expected_start_at == runs.expected_end_at


async def test_nothing_is_expected_before_a_run_and_of_a_job_that_has_ended(producer, beat):
    beat()
    job_id = await producer.submit(Submission("iris", DATA))
    waits = await producer.read(job_id)
    assert (waits.expected_start_at, waits.expected_end_at) == (None, None)
    await producer.cancel(job_id)
    ended = await producer.read(job_id)
    assert (ended.expected_start_at, ended.expected_end_at) == (None, None)


@pytest.mark.parametrize(
    "paces",
    [
        *("odd", "[]", '{"iris":[1]}', '{"iris":[-1,0,1]}', '{"iris":[1,"x",1]}', '{"iris":[1,NaN,1]}'),
        *('{"iris":[1,1,1,-1,1]}', '{"iris":[1,1,1,1,1e400]}'),
    ],
)
async def test_corrupt_keys_break_no_read(producer, beat, redis_client, paces):
    beat(iris=PACE)
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.hset("worker:worker-1", "paces", paces)
    redis_client.set("queue:iris:leases", "odd")
    redis_client.hset("models", b"\xff", "odd")
    assert (await producer.read(job_id)).expected_start_at is None
