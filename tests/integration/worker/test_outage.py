"""Redis away, as a worker process lives through it."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from inferq.errors import RedisUnavailableError
from inferq.jobs import Status
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.worker.processes import WorkerProcess, ended
from tests.integration.worker.test_worker import DATA
from tests.servers import REFUSALS, Wire, free_port, wait_until

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@pytest.fixture
async def there(own_redis_server):
    """A worker and a producer at a server of their own."""
    worker = WorkerProcess(own_redis_server.url)
    producer = Producer.from_settings(Settings(redis_url=own_redis_server.url))
    await ended(producer, await producer.submit(Submission("iris", DATA)))
    yield own_redis_server, worker, producer
    worker.end()
    await producer.close()


async def test_outage_of_three_seconds_costs_little_and_says_so_once(there):
    server, worker, producer = there
    server.kill()
    before = processor_seconds(worker.process.pid)
    await asyncio.sleep(3)
    used = processor_seconds(worker.process.pid) - before
    server.start()
    job = await ended(producer, await producer.submit(Submission("iris", DATA)))

    assert job.status is Status.COMPLETED
    assert used < 0.6
    await worker.until_logged("redis_available_again")
    code, log = worker.stop()
    assert code == 0
    assert log.count("redis_unavailable") == log.count("redis_available_again") == 1, log


@pytest.mark.parametrize("word", ["READONLY", "MISCONF"])
async def test_server_that_takes_no_writes_for_a_while_is_told_of_once(there, word):
    server, worker, producer = there
    begin, end = REFUSALS[word]
    begin(server)
    await worker.until_logged("redis_unavailable")
    await asyncio.sleep(4)  # some runs of every part
    end(server)
    assert (await ended(producer, await producer.submit(Submission("iris", DATA)))).status is Status.COMPLETED
    await worker.until_logged("redis_available_again")
    code, log = worker.stop()
    assert code == 0
    assert log.count("redis_unavailable") == log.count("redis_available_again") == 1, log


async def test_idle_worker_told_to_stop_while_redis_is_away_ends_soon_and_in_order(there):
    server, worker, _ = there
    server.kill()
    await worker.until_logged("redis_unavailable")
    code, log = worker.stop()
    assert (code, "Traceback" in log) == (0, False)


async def test_worker_told_to_stop_before_redis_is_there_ends_soon_and_in_order():
    worker = WorkerProcess(f"redis://127.0.0.1:{free_port()}/0")
    try:
        await worker.until_logged("redis_unavailable")
        code, log = worker.stop()
        assert (code, "Traceback" in log) == (0, False)
    finally:
        worker.end()


@pytest.mark.parametrize("wrong", [":wr0ng@{}/0", "app:s3cret@{}/0", "{}/99", "{}/0"])
async def test_worker_that_the_server_refuses_says_so_and_ends(own_redis_server, wrong):
    with own_redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+ping")
        if wrong in (":wr0ng@{}/0", "{}/0"):
            client.execute_command("ACL", "SETUSER", "default", "resetpass", ">s3cret")
    worker = WorkerProcess("redis://" + wrong.format(f"127.0.0.1:{own_redis_server.port}"))
    try:
        code = await asyncio.to_thread(worker.process.wait, 60)
        log = worker.process.stderr.read()
        assert code == 1
        assert log.splitlines()[-1].startswith("inferq worker: INFERQ_REDIS_URL cannot be used: Redis ")
        assert "redis_unavailable" not in log
        assert "wr0ng" not in log
    finally:
        worker.end()


@pytest.mark.parametrize("simulated_run_seconds", [0, 60])
async def test_worker_told_to_stop_while_the_server_hangs_stops_in_time(
    own_redis_server, simulated_run_seconds
):
    producer = Producer.from_settings(Settings(redis_url=own_redis_server.url))
    worker = WorkerProcess(
        own_redis_server.url, simulated_run_seconds=simulated_run_seconds, shutdown_seconds=0.5
    )
    try:
        job_id = await producer.submit(Submission("iris", DATA))
        async with asyncio.timeout(60):
            while (await producer.read(job_id)).status is Status.PENDING:
                await asyncio.sleep(0.02)
        own_redis_server.hang()
        code, _ = worker.stop()
        assert code == 0
    finally:
        worker.end()
        await producer.close()


async def test_server_that_pauses_for_ten_seconds_is_waited_for(there):
    server, worker, producer = there
    server.hang()
    hung_at = time.monotonic()
    with pytest.raises(RedisUnavailableError):
        await producer.submit(Submission("iris", DATA))
    await asyncio.sleep(hung_at + 10 - time.monotonic())
    server.go_on()

    async def submit():
        async with asyncio.timeout(60):
            while True:
                try:
                    return await producer.submit(Submission("iris", DATA))
                except RedisUnavailableError:
                    continue

    job = await ended(producer, await submit())
    assert job.status is Status.COMPLETED
    code, log = worker.stop()
    assert code == 0
    assert "Traceback" not in log


@pytest.mark.parametrize("cut_after", [0, 1, 7, 40])
async def test_connection_cut_in_the_middle_of_a_reply_loses_nothing(redis_server, settings, cut_after):
    wire = Wire(redis_server.port)
    cut = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{wire.port}/0"})
    producer = Producer.from_settings(settings)
    worker = WorkerProcess(cut.redis_url, lease_seconds=1)
    try:
        jobs = [await producer.submit(Submission("iris", DATA)) for _ in range(5)]
        for job_id in jobs:
            await ended(producer, job_id)
        for _ in range(5):
            wire.cut_after = cut_after
            jobs += [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
            await asyncio.to_thread(wait_until, lambda: wire.cut_after is None, what="the cut")
        views = [await ended(producer, job_id) for job_id in jobs]
        assert {view.status for view in views} == {Status.COMPLETED}
        assert wire.cuts == 5
        code, log = worker.stop()
        assert code == 0, log
    finally:
        worker.end()
        wire.close()
        await producer.close()
