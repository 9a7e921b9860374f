"""What other tests of the API have as one queue is here one of two shards, in two databases of one server."""

import pytest

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.schema.shard_ids import find_shard
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings


@pytest.fixture
def settings(redis_url):
    return Settings(redis_url=f"{redis_url},{redis_url.removesuffix('0')}1", redis_timeout_seconds=20.0)


class EachConsumer:
    """A consumer of each shard, as one."""

    def __init__(self, settings):
        self._shards = [Consumer(own, "worker-1", ["iris"]) for own in split_settings(settings)]

    def claim(self, limit):
        jobs = []
        for shard in self._shards:
            if len(jobs) < limit:
                jobs += shard.claim(limit - len(jobs))
        return jobs

    def finish(self, outcomes):
        for outcome in outcomes:
            self._shards[find_shard(outcome.job.id, 2) or 0].finish([outcome])

    def announce(self, documents):
        for shard in self._shards:
            shard.announce(documents)

    def heartbeat(self, *report):
        for shard in self._shards:
            shard.heartbeat(*report)

    def close(self):
        for shard in self._shards:
            shard.close()


@pytest.fixture
def consumer(settings):
    consumer = EachConsumer(settings)
    yield consumer
    consumer.close()


@pytest.fixture(scope="session")
def redis_server(valkey_server):
    """One kind of server is enough: each shard is one queue, whose own tests run on both."""
    return valkey_server
