import threading

import pytest

from inferq.queue.redis_client.outage import Outage
from inferq.settings import Settings
from tests.conftest import SERVERS
from tests.redis_cluster import RedisCluster

PREFIX = "{inferq-0}:"


@pytest.fixture(scope="module", params=SERVERS)
def whole_cluster(request):
    cluster = RedisCluster(request.param)
    yield cluster.start()
    cluster.stop()


@pytest.fixture
def cluster(whole_cluster):
    """A cluster in which all is well, and nothing is stored."""
    whole_cluster.heal()
    for node in whole_cluster.find_primaries():
        with node.client() as client:
            client.flushall()
    return whole_cluster


@pytest.fixture
def settings(cluster):
    return Settings(redis_url=cluster.url, redis_timeout_seconds=5.0, key_prefix=PREFIX)


def patiently(call):
    """The same for a worker's calls."""
    return Outage().retry_until_available(call, threading.Event(), 60)
