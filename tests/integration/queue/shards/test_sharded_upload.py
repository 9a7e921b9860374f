"""Data that was uploaded lies in the store of the shard that its job goes to."""

import dataclasses

import pytest

from inferq.jobs import WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.schema.shard_ids import find_shard
from inferq.queue.shards.shard_settings import split_settings
from tests.integration.queue.shards.test_sharded_producer import WORKER

DATA = b"[" + b"1," * 100_000 + b"1]"


@pytest.fixture
def sharded_settings(sharded_settings, tmp_path):
    return sharded_settings.model_copy(update={"blob_store": (tmp_path / "blobs").as_uri()})


@pytest.fixture
def sharing(sharded_settings):
    """Consumers that have announced the stores of their shards."""
    consumers = [Consumer(own, "worker-1", ["iris"]) for own in split_settings(sharded_settings)]
    for consumer in consumers:
        worker: WorkerInfo = dataclasses.replace(WORKER, blob_store=consumer.identify_blob_store())
        consumer.heartbeat(worker, {"iris": b"{}"}, 60)
    yield consumers
    for consumer in consumers:
        consumer.close()


@pytest.mark.parametrize("key", [None, *map(str, range(4))])
async def test_uploaded_data_is_claimed_from_the_shard_that_was_chosen_first(sharded, sharing, key):
    submission = Submission("iris", b"")
    upload = await sharded.open_upload(submission, len(DATA), key)
    async with upload:
        await upload.add(DATA)
        submission = await upload.finish()
    idempotency = None if key is None else Idempotency(key, "f" * 64, 60.0)
    job_id = await sharded.submit(submission, idempotency)
    assert job_id == submission.id
    [job] = sharing[find_shard(job_id, 2)].claim(1)
    assert job.data == DATA
    if idempotency:  # the repeated request is known in the same shard
        assert await sharded.submit(Submission("iris", DATA), idempotency) == job_id


async def test_id_stays_as_it_was_where_no_worker_shares_the_store(sharded, consumers):
    submission = Submission("iris", b"")
    before = submission.id
    assert await sharded.open_upload(submission, len(DATA)) is None
    assert submission.id == before
