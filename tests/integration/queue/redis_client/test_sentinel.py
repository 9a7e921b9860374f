"""Failover by Sentinel to a replica: real servers, real Sentinels."""

import asyncio
import subprocess

import pytest
from redis.exceptions import RedisError, ResponseError

from inferq.errors import InvalidSettingError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.connection import connect, connect_async
from inferq.queue.redis_client.redis_url import SentinelUrl, mask_url
from inferq.settings import Settings
from tests.integration.queue.calls import eventually
from tests.servers import REDIS_BINARY, Server, free_port, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
NEVER_MS = 600_000


class Sentinel:
    """One Sentinel process, with a quorum of one."""

    def __init__(self, folder, primary_port):
        self.port = free_port()
        config = folder / f"sentinel-{self.port}.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor jobs 127.0.0.1 {primary_port} 1\n"
            f"sentinel down-after-milliseconds jobs {NEVER_MS}\n"
            "sentinel failover-timeout jobs 2000\n"
        )
        self.process = subprocess.Popen(
            [REDIS_BINARY, config, "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def count_as_down_after(self, milliseconds):
        """Sets how long a server may be silent: a busy machine must not look like one that was killed."""
        with Server.client(self) as client:
            client.execute_command("SENTINEL", "SET", "jobs", "down-after-milliseconds", milliseconds)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def replicated(tmp_path):
    """A primary, a replica that is in step, and a Sentinel that knows both."""
    if REDIS_BINARY is None:
        pytest.skip("redis-server is not installed")
    primary = Server("redis").start()
    replica = Server(
        "redis", "--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0"
    )
    replica.start()
    with replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", what="the replication")
    sentinel = Sentinel(tmp_path, primary.port)
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/jobs/0"
    with connect(Settings(redis_url=url)) as client:
        wait_until(lambda: answers(client), what="the Sentinel")
    with Server.client(sentinel) as client:
        wait_until(lambda: client.execute_command("SENTINEL", "REPLICAS", "jobs"), what="the known replica")
    yield url, primary, replica, sentinel
    sentinel.stop()
    replica.stop()
    primary.stop()


def answers(client):
    try:
        return client.ping()
    except RedisError:
        return False


def fails_over(sentinel):
    try:
        return sentinel.execute_command("SENTINEL", "FAILOVER", "jobs")
    except ResponseError:  # it does not know the replica well enough yet
        return False


async def test_proxy_and_worker_follow_a_failover_by_themselves(replicated):
    url, primary, replica, sentinel = replicated
    settings = Settings(redis_url=url)
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    first = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    second = await producer.submit(Submission("iris", DATA))
    primary.wait_for_replica()
    primary.kill()
    sentinel.count_as_down_after(300)

    third = await eventually(lambda: producer.submit(Submission("iris", DATA)))
    sentinel.count_as_down_after(NEVER_MS)
    assert await eventually(lambda: asyncio.to_thread(consumer.finish, [Outcome(job, result=b"1")])) == [
        "completed"
    ]
    assert [one.id for one in consumer.claim(1) + consumer.claim(1)] == [second, third]
    assert (await eventually(lambda: producer.read(first))).status is Status.COMPLETED
    with replica.client() as client:
        assert client.info("replication")["role"] == "master"
    await producer.close()
    consumer.close()


async def test_demoted_server_is_left_for_the_new_primary(replicated):
    url, primary, _, sentinel = replicated
    settings = Settings(redis_url=url)
    producer = Producer.from_settings(settings)
    await producer.submit(Submission("iris", DATA))
    with Server.client(sentinel) as asked, primary.client() as old:
        wait_until(lambda: fails_over(asked), what="a replica that Sentinel finds fit")
        wait_until(lambda: old.info("replication")["role"] == "slave", what="the demotion")
    await eventually(lambda: producer.submit(Submission("iris", DATA)))
    await producer.close()


async def test_waiting_client_is_notified_by_the_new_primary(replicated):
    url, primary, _, sentinel = replicated
    settings = Settings(redis_url=url)
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    subscriber = producer.open_subscriber()
    job_id = await producer.submit(Submission("iris", DATA))
    with subscriber.subscribe(job_id) as waiter:
        async with asyncio.timeout(90):
            while not subscriber.is_subscribed:
                await asyncio.sleep(0.01)
            primary.wait_for_replica()
            primary.kill()
            sentinel.count_as_down_after(300)
            while subscriber.is_subscribed:
                await asyncio.sleep(0.01)
            while not subscriber.is_subscribed:
                await asyncio.sleep(0.01)
            # Sentinel may yet change its mind a few times on who is the primary
            [job] = await eventually(lambda: asyncio.to_thread(consumer.claim, 1))
            await eventually(lambda: asyncio.to_thread(consumer.finish, [Outcome(job, result=b"1")]))
            while waiter.notified is not Status.COMPLETED:
                await waiter.wait(60)
    await subscriber.aclose()
    await producer.close()
    consumer.close()


def test_url_is_taken_apart():
    url = SentinelUrl.parse("redis+sentinel://me:p%40ss@a:1,b/jobs/3")
    assert url == SentinelUrl((("a", 1), ("b", 26379)), "jobs", 3, "me", "p@ss")
    assert mask_url("redis+sentinel://me:secret@a:1,b/jobs/3") == "redis+sentinel://me:***@a:1,b/jobs/3"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://a:1",
        "redis+sentinel://a:x/jobs/0",
        "http://x",
        "redis://a:1/jobs",
        "rediss://me:secret@a:1/1/2",
        "redis://a?db=x",
        "redis://a?jobs=5",
        "redis://a?ssl_ca_certs=ca.pem",
    ],
)
def test_url_that_cannot_be_used_is_a_clear_error(url):
    for make in (connect, connect_async):
        with pytest.raises(InvalidSettingError, match="INFERQ_REDIS_URL"):
            make(Settings(redis_url=url))
