import pytest

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.shards import producer_shard, shard_backlogs
from inferq.queue.shards.shard_settings import split_settings
from inferq.queue.shards.sharded_producer import ShardedProducer
from inferq.settings import Settings
from tests.servers import Server


@pytest.fixture
def shard_servers():
    """Two servers for this test alone, a shard on each."""
    shard_servers = [Server("valkey", "--appendfsync", "always") for _ in range(2)]
    yield [server.start() for server in shard_servers]
    for server in shard_servers:
        server.stop()


@pytest.fixture
def answer_seconds():
    """How long a server may take for an answer: longer than it does on a busy machine."""
    return 20.0


@pytest.fixture
def sharded_settings(shard_servers, answer_seconds):
    urls = ",".join(server.url for server in shard_servers)
    return Settings(redis_url=urls, redis_timeout_seconds=answer_seconds)


@pytest.fixture(autouse=True)
def backlogs_that_are_remembered(monkeypatch):
    """Which shard gets the next job does not depend on how long ago it got one."""
    monkeypatch.setattr(shard_backlogs, "_FRESH_SECONDS", 600.0)


@pytest.fixture
async def sharded(sharded_settings, monkeypatch):
    monkeypatch.setattr(producer_shard, "PROBE_SECONDS", 0.05)
    sharded = ShardedProducer.from_settings(split_settings(sharded_settings))
    yield sharded
    await sharded.close()


@pytest.fixture
def consumers(sharded_settings):
    """A consumer of each shard."""
    consumers = [Consumer(own, "worker-1", ["iris"]) for own in split_settings(sharded_settings)]
    yield consumers
    for consumer in consumers:
        consumer.close()


@pytest.fixture
async def producers(sharded_settings):
    """A producer of each shard."""
    producers = [Producer.from_settings(own) for own in split_settings(sharded_settings)]
    yield producers
    for producer in producers:
        await producer.close()
