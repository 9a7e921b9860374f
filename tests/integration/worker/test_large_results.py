"""Results that Redis refuses, or that a slow connection carries for long: the worker goes on."""

import asyncio
import json
import threading

import pytest

from inferq.errors import ErrorKind, ResultTooLargeError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.blobs import result_upload
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client import connection
from inferq.queue.redis_client.outage import Outage
from inferq.settings import Settings
from inferq.worker.processor import Processor
from tests.integration.worker.processes import WorkerProcess, ended
from tests.integration.worker.processors import StubExecutor
from tests.onnx_models import write_repeat
from tests.servers import Wire, wait_until

MB = 1_000_000


class Sized(StubExecutor):
    """Runs three jobs at a time; the result of each is a string as long as its data says."""

    def plan_limits(self):
        return {"iris": 3}

    def run(self, jobs, _store):
        return [Outcome(job, result=b'"%b"' % (b"x" * int(job.data))) for job in jobs]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(result_upload, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def start_processor():
    """Starts processors, each in a thread of its own."""
    ends = []

    def start(settings, **notes):
        consumer = Consumer(settings, "worker-1", ["iris"], **notes)
        processor = Processor(consumer, Sized(), Outage())
        thread = threading.Thread(target=processor.run)
        thread.start()
        ends.append((processor, thread, consumer))
        return consumer, processor

    yield start
    for processor, thread, consumer in ends:
        processor.given_up.set()
        processor.stopping.set()
        thread.join()
        consumer.close()


@pytest.fixture
async def own(own_redis_server):
    """Settings and a producer for a server whose settings a test may change."""
    settings = Settings(redis_url=own_redis_server.url)
    producer = Producer.from_settings(settings)
    yield settings, producer
    await producer.close()


@pytest.mark.parametrize("limit", ["proto-max-bulk-len", "client-query-buffer-limit"])
async def test_a_result_that_redis_cuts_off_fails_its_job_and_no_other(
    own, own_redis_server, start_processor, limit
):
    settings, producer = own
    with own_redis_server.client() as client:
        client.config_set(limit, 2 * MB)
        ids = [
            await producer.submit(Submission("iris", data))
            for data in (b"10", b"3000000", b"20000", b"1500000")
        ]
        _, processor = start_processor(settings)
        jobs = [await ended(producer, job_id) for job_id in ids]
        assert [job.error_kind for job in jobs] == [None, ErrorKind.RESULT_TOO_LARGE, None, None]
        assert "3,000,002 bytes" in jobs[1].error
        assert jobs[1].attempts == 1
        wait_until(lambda: not processor.held, what="an idle worker")
        assert client.keys("job:*:result:*") == []


async def test_a_refused_result_whose_lease_is_lost_is_not_sent_again(own, own_redis_server):
    settings, producer = own
    with own_redis_server.client() as client:
        client.config_set("proto-max-bulk-len", 2 * MB)
    await producer.submit(Submission("iris", b"1"))
    consumer = Consumer(settings, "worker-1", ["iris"])
    [job] = consumer.claim(1)
    large, tries = consumer.prepare_upload(Outcome(job, result=b"1" * 3 * MB)), []
    send = large._put
    large._put = lambda: (tries.append(1), send())
    large.limit_attempts()
    with pytest.raises(ResultTooLargeError):
        large.store()
    assert len(tries) == 1
    consumer.close()


async def test_data_that_redis_cuts_off_fails_its_job_and_no_other(own, own_redis_server, start_processor):
    if own_redis_server.kind == "valkey":
        pytest.skip("it sends the value itself, which is in no client's buffer")
    settings, producer = own
    with own_redis_server.client() as client:
        client.config_set("client-output-buffer-limit", f"normal {2 * MB} 0 0")
    data = (b"10", b"2" + b" " * 3 * MB, b"20" + b" " * 20_000, b"30")
    ids = [await producer.submit(Submission("iris", each)) for each in data]
    settled = []
    start_processor(settings, note_settled=lambda *ends: settled.append(ends))
    jobs = [await ended(producer, job_id) for job_id in ids]
    assert [job.error_kind for job in jobs] == [None, ErrorKind.INVALID_INPUT, None, None]
    wait_until(lambda: settled, what="the note of the end")  # which comes after the end itself
    [([outcome], verdicts)] = settled
    assert (outcome.job.id, verdicts) == (ids[1], ["failed"])
    assert "client-output-buffer-limit" in jobs[1].error


KEYS = "jobs:* queue:* claim:* pop:* models scan:* job:*:data job:*:status job:*:result job:*:error"


@pytest.mark.parametrize("size", [20_000, 3 * MB])
async def test_a_result_that_an_acl_refuses_fails_its_job_and_no_other(
    own, own_redis_server, start_processor, size
):
    settings, producer = own
    with own_redis_server.client() as client:
        patterns = [f"~{key}" for key in KEYS.split()]
        client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "&*", "+@all", *patterns)
    url = settings.redis_url.replace("redis://", "redis://app:s3cret@")
    data = (b"10", b"%d" % size, b"20", b"30", b"%d" % size)
    ids = [await producer.submit(Submission("iris", each)) for each in data]
    start_processor(settings.model_copy(update={"redis_url": url}))
    jobs = [await ended(producer, job_id) for job_id in ids]
    too_large = ErrorKind.RESULT_TOO_LARGE
    assert [job.error_kind for job in jobs] == [None, too_large, None, None, too_large]
    assert "permission" in jobs[1].error


async def test_a_large_result_that_is_not_refused_is_stored(
    settings, producer, start_processor, redis_client
):
    ids = [await producer.submit(Submission("iris", data)) for data in (b"5000000", b"10", b"6000000")]
    start_processor(settings)
    jobs = [await ended(producer, job_id) for job_id in ids]
    assert [job.result_bytes for job in jobs] == [5_000_002, 12, 6_000_002]
    assert redis_client.keys("job:*:result:*") == []
    assert 0 < redis_client.pttl(f"job:{ids[0]}:result") <= settings.result_ttl_seconds * 1000
    assert redis_client.pttl(f"job:{ids[0]}:result") > settings.result_ttl_seconds * 500


async def test_a_result_is_carried_as_long_as_bytes_flow(
    settings, producer, redis_server, start_processor, monkeypatch
):
    monkeypatch.setattr(connection, "WORKER_SECONDS", 2.0)
    wire = Wire(redis_server.port, 5 * MB)
    try:
        start_processor(settings.model_copy(update={"redis_url": wire.url, "redis_timeout_seconds": 2.0}))
        job = await ended(producer, await producer.submit(Submission("iris", b"20000000")))
        assert job.status is Status.COMPLETED
    finally:
        wire.close()


async def test_a_result_that_takes_too_long_fails_its_job(
    settings, producer, redis_server, start_processor, monkeypatch
):
    monkeypatch.setattr(result_upload, "_BASE_SECONDS", 0.5)
    monkeypatch.setattr(connection, "SLOWEST_BYTES_PER_SECOND", 1000 * MB)
    monkeypatch.setattr(result_upload, "_ATTEMPTS", 2)
    wire = Wire(redis_server.port, 8 * MB)
    try:
        start_processor(settings.model_copy(update={"redis_url": wire.url}))
        job = await ended(producer, await producer.submit(Submission("iris", b"20000000")))
        assert job.error_kind is ErrorKind.RESULT_TOO_LARGE
        assert "not transferred" in job.error
    finally:
        wire.close()


async def test_a_large_result_is_kept_while_redis_is_away(own, own_redis_server, start_processor):
    settings, producer = own
    began, killed = threading.Event(), threading.Event()

    class Waiting(Sized):
        def run(self, jobs, _store):
            began.set()
            killed.wait()
            return super().run(jobs, _store)

    consumer = Consumer(settings, "worker-1", ["iris"])
    processor = Processor(consumer, Waiting(), Outage())
    thread = threading.Thread(target=processor.run)
    thread.start()
    job_id = await producer.submit(Submission("iris", b"3000000"))
    await asyncio.to_thread(began.wait)
    own_redis_server.kill()
    killed.set()
    await asyncio.sleep(1.5)  # longer than all attempts take
    own_redis_server.start()
    try:
        assert (await ended(producer, job_id)).status is Status.COMPLETED
    finally:
        processor.stopping.set()
        thread.join()
        consumer.close()


async def test_a_result_beyond_the_limit_is_not_even_sent(start_worker, producer, redis_client, tmp_path):
    write_repeat(tmp_path / "repeat")
    start_worker(models_dir=tmp_path, max_result_bytes=1000)
    ids = [await producer.submit(Submission("repeat", repeated(100, times))) for times in (5, 50)]
    small, large = [await ended(producer, job_id) for job_id in ids]
    assert small.status is Status.COMPLETED
    assert (large.error_kind, large.attempts) == (ErrorKind.RESULT_TOO_LARGE, 1)
    assert "at most 1,000" in large.error
    assert redis_client.exists(f"job:{large.id}:result") == 0


@pytest.fixture
def slow_worker(redis_server, redis_url, tmp_path):
    """A worker behind 1 MB a second, whose model repeats a string, and its wire."""
    write_repeat(tmp_path / "repeat")
    wire = Wire(redis_server.port, MB)
    worker = WorkerProcess(wire.url, models_dir=tmp_path, lease_seconds=2, run_stop_grace_seconds=1)
    yield worker, wire
    worker.end()
    wire.close()


def repeated(length, times):
    return json.dumps({"s": ["x" * length], "k": [times]}).encode()


async def test_cancelling_a_job_frees_the_worker_that_sends_its_result(slow_worker, producer, redis_client):
    _, wire = slow_worker
    job_id = await producer.submit(Submission("repeat", repeated(10_000, 6_000)))  # a minute
    await asyncio.to_thread(wait_until, lambda: wire.carried > MB, what="a part of the result")
    await producer.cancel(job_id)
    other = await ended(producer, await producer.submit(Submission("repeat", repeated(1, 1))), 30)
    assert other.status is Status.COMPLETED
    assert (await producer.read(job_id)).error_kind is ErrorKind.CANCELLED
    assert redis_client.keys("job:*:result*") == [f"job:{other.id}:result".encode()]


async def test_the_lease_goes_on_while_large_data_and_a_large_result_are_carried(slow_worker, producer):
    job_id = await producer.submit(Submission("repeat", repeated(4 * MB, 1), timeout_seconds=1))
    job = await ended(producer, job_id)
    assert job.status is Status.COMPLETED
    assert [(attempt.number, attempt.kind) for attempt in job.history] == [(1, None)]
