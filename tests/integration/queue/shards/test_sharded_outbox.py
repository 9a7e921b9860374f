"""The outbox of webhooks on two servers."""

import pytest

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome, WebhookStatus
from inferq.queue.consumer.settle import KEPT
from inferq.queue.producer.submission import Submission
from inferq.queue.shards.consumer_choice import open_outbox
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict
from tests.servers import wait_until

URL = "https://receiver.example/hook"


@pytest.fixture
def outbox(sharded_settings):
    outbox = open_outbox(sharded_settings)
    yield outbox
    outbox.close()


@pytest.fixture
def end_jobs(producers, consumers):
    """Ends so many jobs with a webhook in each shard; returns their ids."""

    async def end(count):
        ids = []
        for producer, consumer in zip(producers, consumers, strict=True):
            ids.append([await producer.submit(Submission("iris", b"1", webhook=URL)) for _ in range(count)])
            consumer.finish([Outcome(job, b"1") for job in consumer.claim(count)])
        return ids

    return end


def deliver(outbox, entries):
    return outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.DELIVERED) for entry in entries])


async def test_entries_of_all_shards_are_leased_read_and_acked(outbox, end_jobs, producers):
    ids = await end_jobs(3)
    first, _ = outbox.lease(4, 30.0)
    second, _ = outbox.lease(4, 30.0)
    assert sorted(entry.shard for entry in first + second) == [0, 0, 0, 1, 1, 1]
    jobs = outbox.read_jobs(first + second)
    assert [job.id for job in jobs] == [entry.job_id for entry in first + second]
    assert deliver(outbox, first[::2] + second + first[1::2]) == ["delivered"] * 6
    for producer, own in zip(producers, ids, strict=True):
        assert {job.webhook.status for job in await producer.read_many(own)} == {WebhookStatus.DELIVERED}


async def test_outcomes_wait_for_a_shard_that_is_away_while_the_others_are_served(
    outbox, end_jobs, producers, shard_servers
):
    ids = await end_jobs(2)
    entries, _ = outbox.lease(2, 30.0)
    away = entries[0].shard
    shard_servers[away].kill()
    assert deliver(outbox, entries) == [KEPT] * 2
    others, _ = outbox.lease(8, 30.0)
    assert {entry.shard for entry in others} == {1 - away}
    assert deliver(outbox, others) == ["delivered"] * 2
    assert outbox.read_jobs(entries) == [None, None]

    shard_servers[away].start()
    wait_until(lambda: outbox.lease(8, 30.0) and not outbox._shards[away].kept, what="the outcomes")
    jobs = await producers[away].read_many(ids[away])
    assert {job.webhook.status for job in jobs} == {WebhookStatus.DELIVERED}


def test_nothing_is_leased_while_all_shards_are_away(outbox, shard_servers):
    for server in shard_servers:
        server.kill()
    with pytest.raises(RedisUnavailableError, match="All shards are away"):
        outbox.lease(8, 30.0)
