"""Long data and results lie in a blob store, and keys of Redis refer to them."""

import asyncio
import errno
import os
import threading
import time
import weakref
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from inferq.blobs import BlobPart, FolderStore, Uploads, make_key, make_upload_id
from inferq.errors import (
    InvalidInputError,
    JobNotFoundError,
    ModelError,
    QueueFullError,
    RedisUnavailableError,
    StoreUnavailableError,
)
from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.queue import blob_threads
from inferq.queue.consumer.blobs import blob_data, blob_removal
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.settings import Settings
from inferq.tensors.envelope import is_reference, read_reference, write_reference
from tests.records import record
from tests.servers import wait_until

GRACE_SECONDS = 600.0
SHORT = b"[[1,2]]"
LONG = b"\x93NUMPY" + bytes(range(256)) * 500
RESULT = b'{"outputs":"%b"}' % (b"x" * 100_000)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(blob_removal, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(blob_data, "_STAND_BACK_SECONDS", 0.0)


@pytest.fixture
def settings(redis_url, tmp_path):
    return Settings(
        redis_url=redis_url,
        blob_store=(tmp_path / "blobs").as_uri(),
        blob_reserve_bytes=0,
        blob_grace_seconds=GRACE_SECONDS,
        redis_timeout_seconds=30.0,  # as all tests of the queue have
    )


@pytest.fixture
def folder(settings):
    return FolderStore.from_url(settings.blob_store)._folder


@pytest.fixture
def files(folder):
    return lambda: [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris"])
    beat(consumer)
    yield consumer
    consumer.close()


@pytest.fixture
async def producer(settings, consumer):  # the worker is there first
    producer = Producer.from_settings(settings)
    yield producer
    await producer.close()


@pytest.fixture
def make_consumer(settings):
    made = []

    def make(name="worker-2", **changed):
        made.append(Consumer(settings.model_copy(update=changed), name, ["iris"]))
        return made[-1]

    yield make
    for one in made:
        one.close()


def beat(consumer, name="worker-1"):
    info = WorkerInfo(
        name, "host", 1, ("iris",), datetime.now(UTC), blob_store=consumer.identify_blob_store()
    )
    consumer.heartbeat(info, {"iris": b"{}"}, 60.0)


def settle(consumer, outcomes):
    """What a worker does with outcomes."""
    outcomes = consumer.offload_results(outcomes)
    verdicts = consumer.finish(outcomes)
    consumer.remove_settled_blobs(outcomes, verdicts)
    consumer.sweep_blobs()
    return verdicts


async def read_data(producer, job_id):
    length, parts = await producer.job_data.open(job_id)
    data = b"".join([part async for part in parts])
    assert len(data) == length
    return data


async def read_result(producer, job_id):
    job = await producer.read(job_id)
    return await StoredResult.open(producer.large_results, job).read()


def make_old(files):
    for path in files():
        os.utime(path, (0, 0))


def sweep(consumer, redis_client):
    """A whole sweep, as if it were due."""
    redis_client.delete("blobs:step")
    return consumer.sweep_blobs()


async def submit(producer, is_batch, data=LONG, **options):
    if not is_batch:
        return await producer.submit(Submission("iris", data), **options)
    return (await producer.submit_batch([Submission("iris", SHORT), Submission("iris", data)], **options))[1]


@pytest.mark.parametrize("is_batch", [False, True], ids=["one", "batch"])
async def test_job_travels_by_reference_and_leaves_nothing_but_its_result(
    producer, consumer, redis_client, files, is_batch
):
    job_id = await submit(producer, is_batch)
    stored = redis_client.get(f"job:{job_id}:data")
    assert is_reference(stored)
    assert record(redis_client, job_id)["blob_bytes"] == str(len(LONG))
    assert record(redis_client, job_id)["bytes"] == str(len(stored))
    assert await read_data(producer, job_id) == LONG
    *_, job = consumer.claim(2)
    assert (job.id, job.data, job.blob_key) == (job_id, LONG, read_reference(stored).key)
    assert isinstance(job.data, memoryview)
    assert settle(consumer, [Outcome(job, RESULT)]) == ["completed"]
    assert is_reference(redis_client.get(f"job:{job_id}:result"))
    [only] = files()
    assert only.read_bytes() == RESULT
    assert await read_result(producer, job_id) == RESULT
    found = await producer.read(job_id)
    assert (found.result, found.result_bytes) == (None, len(RESULT))
    await producer.delete(job_id)
    assert files() == []


async def test_json_from_the_store_comes_as_bytes(producer, consumer):
    data = b"[[%b]]" % (b"1," * 50_000 + b"NaN")
    await producer.submit(Submission("iris", data))
    [job] = consumer.claim(1)
    assert isinstance(job.data, bytes)
    assert job.data == data


async def test_short_data_and_results_stay_in_redis(producer, consumer, redis_client, files):
    job_id = await producer.submit(Submission("iris", LONG[: 64 * 1024]))
    assert redis_client.get(f"job:{job_id}:data") == LONG[: 64 * 1024]
    [job] = consumer.claim(1)
    assert settle(consumer, [Outcome(job, SHORT)]) == ["completed"]
    assert await read_result(producer, job_id) == SHORT
    assert files() == []


async def test_retries_keep_the_data_and_so_does_a_failed_job(producer, consumer, redis_client, files):
    job_id = await producer.submit(Submission("iris", LONG))
    [job] = consumer.claim(1)
    assert settle(consumer, [Outcome(job, error=ModelError("No."))]) == ["retrying"]
    await producer.cancel(job_id)
    make_old(files)
    assert sweep(consumer, redis_client) == 0
    await producer.retry(job_id)
    [job] = consumer.claim(1)
    assert job.data == LONG
    assert record(redis_client, job_id)["blob_bytes"] == str(len(LONG))


@pytest.mark.parametrize("is_batch", [False, True], ids=["one", "batch"])
async def test_refused_submit_leaves_no_file(settings, consumer, redis_client, files, is_batch):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued": 2}))
    try:
        key = Idempotency("k", "0" * 64, 60)
        first = await submit(producer, is_batch, idempotency=key)
        assert await submit(producer, is_batch, idempotency=key) == first
        assert len(files()) == 1
        await producer.submit(Submission("iris", SHORT)) if not is_batch else None
        with pytest.raises(QueueFullError):
            await submit(producer, is_batch)
        assert len(files()) == 1
    finally:
        await producer.close()


@pytest.mark.parametrize("is_batch", [False, True], ids=["one", "batch"])
async def test_full_disk_refuses_the_job_whole(settings, consumer, redis_client, files, is_batch):
    producer = Producer.from_settings(settings.model_copy(update={"blob_reserve_bytes": 1 << 60}))
    try:
        with pytest.raises(QueueFullError, match=r"blob store .* takes no more"):
            await submit(producer, is_batch)
    finally:
        await producer.close()
    assert files() == []
    assert redis_client.keys("job:*") == []


@pytest.mark.parametrize("is_batch", [False, True], ids=["one", "batch"])
async def test_job_that_redis_has_no_memory_for_leaves_no_file(producer, redis_client, files, is_batch):
    await submit(producer, is_batch)
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisUnavailableError, match="maxmemory"):
            await submit(producer, is_batch)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert len(files()) == 1


async def test_result_may_use_the_reserve_and_goes_into_redis_where_the_disk_is_full(
    producer, consumer, redis_client, files, monkeypatch
):
    job_id = await producer.submit(Submission("iris", SHORT))
    [job] = consumer.claim(1)

    def fail(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("inferq.blobs.folder_store.os.write", fail)
    assert consumer.finish(consumer.offload_results([Outcome(job, RESULT)])) == ["completed"]
    assert redis_client.get(f"job:{job_id}:result") == RESULT
    assert files() == []


async def test_deleted_result_leaves_no_file_and_the_job_is_still_there(producer, consumer, files):
    job_id = await producer.submit(Submission("iris", SHORT))
    settle(consumer, [Outcome(job, RESULT) for job in consumer.claim(1)])
    assert len(files()) == 1
    for _ in range(2):
        await producer.delete_result(job_id)
        assert files() == []
    assert (await producer.read(job_id)).status is Status.COMPLETED


async def test_no_client_can_hand_in_a_reference(producer, files):
    theirs = write_reference(make_key("4f" * 16, BlobPart.DATA), LONG, "0" * 16)
    for is_batch in (False, True):
        with pytest.raises(InvalidInputError, match="reference"):
            await submit(producer, is_batch, theirs)
    assert files() == []


async def test_reference_to_another_jobs_blob_is_not_followed(producer, consumer, redis_client):
    theirs = await producer.submit(Submission("iris", LONG))
    consumer.claim(1)
    redis_client.set("job:x:data", redis_client.get(f"job:{theirs}:data"))
    redis_client.lpush("queue:iris", "x")
    assert consumer.claim(1) == []
    assert "not its own" in (await producer.read("x")).error
    assert is_reference(await read_data(producer, "x"))


class TestWorkersWithoutTheStore:
    async def test_one_is_enough_that_data_stays_in_redis(self, producer, make_consumer, redis_client):
        beat(make_consumer(blob_store=""), "worker-2")
        job_id = await producer.submit(Submission("iris", LONG))
        assert redis_client.get(f"job:{job_id}:data") == LONG

    async def test_other_folder_of_the_same_name_is_no_shared_one(
        self, producer, make_consumer, redis_client, tmp_path
    ):
        beat(make_consumer(blob_store=(tmp_path / "elsewhere").as_uri()), "worker-2")
        job_id = await producer.submit(Submission("iris", LONG))
        assert redis_client.get(f"job:{job_id}:data") == LONG

    async def test_where_no_worker_lives_it_is_as_it_was(self, producer, consumer, redis_client):
        await producer.submit(Submission("iris", LONG))
        consumer.retire()
        producer._offload._sharing._due_at = 0.0
        job_id = await producer.submit(Submission("iris", LONG))
        assert is_reference(redis_client.get(f"job:{job_id}:data"))

    @pytest.mark.parametrize("other", ["", "elsewhere"])
    async def test_job_that_one_cannot_read_is_left_to_others_and_charged_to_no_one(
        self, producer, consumer, make_consumer, redis_client, tmp_path, other
    ):
        job_id = await producer.submit(Submission("iris", LONG))
        stranger = make_consumer(blob_store=(tmp_path / other).as_uri() if other else "")
        assert stranger.claim(1) == []
        found = await producer.read(job_id)
        assert (found.status, found.attempts, found.history) == (Status.PENDING, 0, ())
        due = redis_client.zscore("queue:iris:retries", job_id)
        assert due > time.time() * 1000
        redis_client.zadd("queue:iris:retries", {job_id: 1})
        consumer.recover()
        [job] = consumer.claim(1)
        assert (job.data, job.attempt) == (LONG, 1)

    @pytest.mark.parametrize("is_alone", [False, True])
    async def test_one_stands_back_for_others_that_can_read_what_it_defers(
        self, producer, consumer, make_consumer, monkeypatch, is_alone
    ):
        pauses = []
        monkeypatch.setattr(blob_data.time, "sleep", pauses.append)
        ids = [await producer.submit(Submission("iris", LONG)) for _ in range(2)]
        if is_alone:
            consumer.retire()
        with capture_logs() as logs:
            assert make_consumer(blob_store="").claim(2) == []
        assert pauses == ([] if is_alone else [blob_data._STAND_BACK_SECONDS])
        assert [line["job_ids"] for line in logs if line["event"] == "jobs_deferred"] == [ids]

    async def test_proxy_says_that_it_cannot_read_what_lies_there(self, settings, producer, consumer):
        job_id = await producer.submit(Submission("iris", LONG))
        without = Producer.from_settings(settings.model_copy(update={"blob_store": ""}))
        try:
            with pytest.raises(StoreUnavailableError, match="INFERQ_BLOB_STORE"):
                await without.job_data.open(job_id)
            [job] = consumer.claim(1)
            settle(consumer, [Outcome(job, RESULT)])
            with pytest.raises(StoreUnavailableError, match="this process has none"):
                await read_result(without, job_id)
        finally:
            await without.close()


async def test_store_that_cannot_be_used_leaves_data_to_redis(producer, consumer, redis_client, folder):
    await producer.submit(Submission("iris", LONG))
    folder.rename(folder.with_name("gone"))
    folder.touch()
    job_id = await producer.submit(Submission("iris", LONG))
    assert redis_client.get(f"job:{job_id}:data") == LONG


async def test_worker_whose_store_is_unmounted_fails_no_job_and_says_that_it_has_none(
    producer, consumer, redis_client, folder
):
    job_id = await producer.submit(Submission("iris", LONG))
    with_store = consumer.identify_blob_store()
    consumer.sweep_blobs()
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    assert consumer.claim(1) == []
    assert (await producer.read(job_id)).status is Status.PENDING
    with pytest.raises(StoreUnavailableError, match="unmounted"):
        consumer.sweep_blobs()
    assert consumer.identify_blob_store() == ""
    folder.rmdir()
    folder.with_name("elsewhere").rename(folder)
    consumer.sweep_blobs()
    assert consumer.identify_blob_store() == with_store
    redis_client.zadd("queue:iris:retries", {job_id: 1})
    consumer.recover()
    assert [job.data for job in consumer.claim(1)] == [LONG]


async def test_data_that_is_gone_or_cut_short_fails_its_job_alone(producer, consumer, files):
    gone = await producer.submit(Submission("iris", LONG))
    files()[0].unlink()
    short = await producer.submit(Submission("iris", LONG))
    os.truncate(files()[0], 10)
    whole = await producer.submit(Submission("iris", LONG))
    assert [job.id for job in consumer.claim(3)] == [whole]
    for job_id in (gone, short):
        job = await producer.read(job_id)
        assert job.status is Status.FAILED
        assert "data of this job is gone" in job.error
    with pytest.raises(JobNotFoundError):
        await producer.job_data.open(gone)


async def test_data_is_there_until_a_killed_server_can_have_lost_the_end_no_more(
    producer, consumer, redis_client, files, monkeypatch
):
    monkeypatch.setattr(blob_removal, "DELAY_SECONDS", 0.2)
    job_id = await producer.submit(Submission("iris", LONG))
    before = redis_client.dump(f"job:{job_id}:data")
    [job] = consumer.claim(1)
    assert settle(consumer, [Outcome(job, SHORT)]) == ["completed"]
    assert len(files()) == 1
    redis_client.restore(f"job:{job_id}:data", 0, before)  # as if the end had been lost
    removal = consumer._removal
    wait_until(lambda: not (removal.remove_due() or removal._waiting))
    assert len(files()) == 1
    redis_client.delete(f"job:{job_id}:data")
    removal.add([job.blob_key])
    wait_until(removal.remove_due)
    assert files() == []


async def test_result_that_is_not_taken_leaves_no_file(producer, consumer, files):
    job_id = await producer.submit(Submission("iris", SHORT))
    [job] = consumer.claim(1)
    await producer.cancel(job_id)
    assert settle(consumer, [Outcome(job, RESULT)]) == ["stale"]
    assert files() == []


async def test_result_of_long_ago_is_not_named_but_made_again(producer, consumer, files):
    await producer.submit(Submission("iris", LONG))
    [job] = consumer.claim(1)
    [outcome] = consumer.offload_results([Outcome(job, RESULT)])
    # more than half of the grace time
    old = [outcome._replace(offloaded_at=outcome.offloaded_at - 0.6 * GRACE_SECONDS)]
    verdicts = consumer.finish(old)
    consumer.remove_settled_blobs(old, verdicts)
    consumer.sweep_blobs()
    assert verdicts == ["requeued"]
    assert [path.read_bytes() for path in files()] == [LONG]
    [job] = consumer.claim(1)
    assert (job.data, job.attempt) == (LONG, 1)


class TestSweep:
    async def test_removes_what_no_key_names_once_it_is_old(
        self, producer, consumer, redis_client, files, folder
    ):
        waiting = await producer.submit(Submission("iris", LONG))
        ended = await producer.submit(Submission("iris", LONG))
        redis_client.delete(f"job:{ended}:data")  # it has expired
        FolderStore(folder).write(make_key("0a", BlobPart.RESULT), b"half of something")
        assert len(files()) == 3
        assert sweep(consumer, redis_client) == 0, "all is young"
        make_old(files)
        assert sweep(consumer, redis_client) == 2
        assert [path.read_bytes() for path in files()] == [LONG]
        assert sweep(consumer, redis_client) == 0
        assert redis_client.get("blobs:usage") == b"1 %d" % len(LONG)
        [job] = consumer.claim(1)
        assert (job.id, job.data) == (waiting, LONG)

    async def test_key_of_a_wrong_type_or_with_another_reference_names_nothing(
        self, producer, consumer, redis_client, files
    ):
        job_id = await producer.submit(Submission("iris", LONG))
        other = write_reference(make_key(job_id, BlobPart.DATA), LONG, "0" * 16)
        make_old(files)
        redis_client.set(f"job:{job_id}:data", other)
        assert sweep(consumer, redis_client) == 1
        job_id = await producer.submit(Submission("iris", LONG))
        make_old(files)
        redis_client.delete(f"job:{job_id}:data")
        redis_client.lpush(f"job:{job_id}:data", "x")
        assert sweep(consumer, redis_client) == 1

    def test_leaves_uploads_for_their_time(self, consumer, settings, files, redis_client):
        uploads = Uploads(FolderStore.from_url(settings.blob_store))
        begun, whole = (uploads.open(make_upload_id(""), 3, 0) for _ in range(2))
        for upload in (begun, whole):
            upload.add(b"abc")
        whole.finish()
        for age, left in ((settings.upload_ttl_seconds - 60, 2), (settings.upload_ttl_seconds + 60, 0)):
            for path in files():
                os.utime(path, (time.time() - age,) * 2)
            sweep(consumer, redis_client)
            consumer.sweep_blobs()
            assert len(files()) == left

    async def test_goes_on_page_by_page_from_worker_to_worker(
        self, producer, consumer, make_consumer, redis_client, files, monkeypatch
    ):
        monkeypatch.setattr("inferq.blobs.folder_store._PAGE_BLOBS", 5)
        for _ in range(30):
            await producer.submit(Submission("iris", LONG))
        keys = redis_client.keys("job:*:data")
        redis_client.delete(*keys[:10])
        make_old(files)
        workers, removed, steps = [consumer, make_consumer()], 0, 0
        while steps == 0 or redis_client.exists("blobs:cursor"):
            removed += sweep(workers[steps % 2], redis_client)
            steps += 1
        assert (removed, len(files())) == (10, 20)
        assert steps > 3
        assert redis_client.get("blobs:usage") == b"30 %d" % (30 * len(LONG))

    async def test_disk_that_lets_nothing_be_removed_costs_no_memory_without_end(
        self, producer, make_consumer, redis_client, files, monkeypatch
    ):
        monkeypatch.setattr(blob_removal, "_MOST_WAITING", 5)
        for _ in range(8):
            await producer.submit(Submission("iris", LONG))
        redis_client.delete(*redis_client.keys("job:*:data"))
        make_old(files)
        worker = make_consumer()
        with monkeypatch.context() as is_read_only:
            error = OSError(errno.EROFS, "Read-only file system")
            is_read_only.setattr("pathlib.Path.unlink", Mock(side_effect=error))
            for _ in range(3):
                with pytest.raises(StoreUnavailableError, match="Read-only"):
                    sweep(worker, redis_client)
        assert len(worker._removal._waiting) == 5
        assert sweep(worker, redis_client) == 5
        assert sweep(worker, redis_client) == 3
        assert files() == []

    async def test_is_made_by_one_worker_at_a_time_and_then_rests(
        self, producer, consumer, make_consumer, redis_client, files
    ):
        await producer.submit(Submission("iris", LONG))
        consumer.sweep_blobs()
        assert 0 < redis_client.pttl("blobs:step") <= 500 * GRACE_SECONDS  # half of it
        redis_client.delete(*redis_client.keys("job:*"))
        make_old(files)
        assert make_consumer().sweep_blobs() == 0
        assert sweep(consumer, redis_client) == 1

    async def test_leaves_the_store_of_another_queue_alone_and_that_one_writes_nothing_to_it(
        self, producer, consumer, settings, make_consumer, redis_client, files
    ):
        await producer.submit(Submission("iris", LONG))
        make_old(files)
        assert sweep(consumer, redis_client) == 0
        other = make_consumer("worker-9", key_prefix="other:")
        theirs = Producer.from_settings(settings.model_copy(update={"key_prefix": "other:"}))
        try:
            assert other.sweep_blobs() == 0
            beat(other, "worker-9")
            job_id = await theirs.submit(Submission("iris", LONG))
            [job] = other.claim(1)
            assert settle(other, [Outcome(job, RESULT)]) == ["completed"]
            assert await read_result(theirs, job_id) == RESULT
        finally:
            await theirs.close()
        assert [path.read_bytes() for path in files()] == [LONG]


async def test_claim_is_bounded_by_what_lies_in_the_store(producer, consumer, redis_client):
    large = b"\x93NUMPY" + bytes(6 * 1024 * 1024)
    ids = [await producer.submit(Submission("iris", large if number else LONG)) for number in range(5)]
    [failed] = consumer.claim(1)
    consumer.finish([Outcome(failed, error=ModelError("No."))])
    claims = [consumer.claim(128) for _ in range(3)]
    assert [[job.id for job in jobs] for jobs in claims] == [ids[1:3], ids[3:], []]
    redis_client.zadd("queue:iris:retries", {failed.id: 1})
    consumer.recover()  # its record is not plain any more
    [again] = consumer.claim(1)
    assert again.data == LONG


async def test_store_that_hangs_is_told_in_time_and_holds_up_nothing_else(producer, consumer, monkeypatch):
    job_id = await producer.submit(Submission("iris", SHORT))
    settle(consumer, [Outcome(job, RESULT) for job in consumer.claim(1)])
    goes_on = threading.Event()
    monkeypatch.setattr(blob_threads.BlobThreads.call, "__defaults__", (0.2,))
    monkeypatch.setattr("inferq.queue.inspection.metrics._LONGEST_SECONDS", 0.2)
    for name in ("read_part", "measure_space"):
        monkeypatch.setattr(FolderStore, name, lambda *_: goes_on.wait())
    try:
        for _ in range(20):  # more than the event loop has threads
            with pytest.raises(StoreUnavailableError, match="not answered"):
                await read_result(producer, job_id)
            assert (await producer.read_metrics()).blob_free_bytes is None
        assert await asyncio.to_thread(lambda: True)
        await producer.submit(Submission("iris", SHORT))
    finally:
        goes_on.set()


async def test_short_writes_leave_the_event_loop_when_the_disk_stalls(producer, monkeypatch):
    write, were_on_loop = FolderStore.write, []

    def write_slowly(*arguments, **options):
        were_on_loop.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.05)
        write(*arguments, **options)

    monkeypatch.setattr(FolderStore, "write", write_slowly)
    for _ in range(3):
        await producer.submit(Submission("iris", LONG))
    assert were_on_loop == [True, False, False]


async def test_many_large_uploads_at_once_hold_up_no_other_request(producer, files, monkeypatch):
    write, goes_on, began = FolderStore.write, threading.Event(), []

    def write_after_the_other(*arguments, **options):
        began.append(threading.current_thread())
        assert goes_on.wait(60), "the other request was held up"
        write(*arguments, **options)

    monkeypatch.setattr(FolderStore, "write", write_after_the_other)
    large = os.urandom(16 * 1024 * 1024)
    uploads = [asyncio.create_task(producer.submit(Submission("iris", large))) for _ in range(4)]
    while not began:
        await asyncio.sleep(0.001)
    other = await producer.submit(Submission("iris", SHORT))
    assert (await producer.read(other)).status is Status.PENDING
    goes_on.set()
    await asyncio.gather(*uploads)
    assert threading.main_thread() not in began
    assert len(files()) == 4


@pytest.mark.parametrize(
    ("megabytes", "is_local", "name"), [(2, True, "copies"), (2, False, "blobs"), (0.1, False, "blobs")]
)
async def test_only_long_copies_are_written_by_threads_of_lower_priority(
    producer, monkeypatch, megabytes, is_local, name
):
    monkeypatch.setattr(FolderStore, "is_local", is_local)
    write, names = FolderStore.write, []

    def write_and_note(*arguments, **options):
        names.append(threading.current_thread().name)
        write(*arguments, **options)

    monkeypatch.setattr(FolderStore, "write", write_and_note)
    await producer.submit(Submission("iris", bytes(int(megabytes * 1e6))))
    assert names[0].startswith(name)


async def test_upload_that_is_given_up_is_freed_at_once(producer, consumer, files, uncollected):
    beat(consumer)
    upload = await producer.open_upload(Submission("iris", b""), 10_000_000)
    known = weakref.ref(upload)
    try:
        async with upload:
            await upload.add(bytes(11_000_000))
    except InvalidInputError:
        assert files() == []
    del upload
    async with asyncio.timeout(60):
        while known() is not None:  # the thread is about to end
            await asyncio.sleep(0.01)
