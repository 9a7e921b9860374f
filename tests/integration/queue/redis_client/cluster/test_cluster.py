"""One shard on a real Redis Cluster: its slot moves, its node dies, and the queue follows."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import AskError, TryAgainError

from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.cluster_nodes import find_slot
from inferq.queue.redis_client.connection import close_async, connect, connect_async, redis_errors
from inferq.queue.redis_client.error_replies import SlotAwayError
from inferq.queue.redis_client.redis_url import ClusterUrl, mask_url
from inferq.queue.redis_client.script_calls import AsyncScriptRunner, ScriptCall, ScriptRunner
from inferq.queue.redis_client.scripts import Script
from inferq.settings import Settings
from tests.integration.queue.calls import eventually
from tests.integration.queue.redis_client.cluster.conftest import PREFIX, patiently
from tests.redis_cluster import SlotMove
from tests.servers import Server, free_port, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.mark.parametrize("prefix", ["{inferq-0}:", "{inferq-1}:", "{inferq-2}:app:"])
async def test_each_slot_is_reached_through_any_node(cluster, prefix):
    last = cluster.nodes[-1]
    settings = Settings(redis_url=f"redis+cluster://127.0.0.1:{last.port}", key_prefix=prefix)
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    consumer.check_server()
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    assert consumer.finish([Outcome(job, result=b"1")]) == ["completed"]
    assert (await producer.read(job_id)).status is Status.COMPLETED
    with cluster.find_primary(prefix).client() as client:
        assert client.exists(f"{prefix}job:{job_id}:status")
    await producer.close()
    consumer.close()


async def test_queue_goes_on_where_its_slot_has_been_moved_to(cluster, producer, consumer):
    first = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    second = await producer.submit(Submission("iris", DATA))
    move = SlotMove(cluster, PREFIX).begin()
    move.end()
    third = await producer.submit(Submission("iris", DATA))
    assert consumer.finish([Outcome(job, result=b"1")]) == ["completed"]
    assert [one.id for one in consumer.claim(2)] == [second, third]
    assert (await producer.read(first)).status is Status.COMPLETED
    with move.target.client() as client:
        assert client.exists(f"{PREFIX}job:{third}:status")


async def test_worker_that_waits_goes_on_where_the_slot_has_been_moved_to(cluster, producer, consumer):
    await producer.submit(Submission("iris", DATA))
    consumer.claim(1)
    move = SlotMove(cluster, PREFIX)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(consumer.wait_and_claim, 1, timeout_seconds=4)
        wait_until(lambda: is_blocking(move.source), what="the BRPOP")
        move.begin().end()
        job_id = await producer.submit(Submission("iris", DATA))
        jobs = list(waiting.result().jobs)
        while not jobs:  # the wait may have ended before the job came
            jobs = patiently(lambda: consumer.wait_and_claim(1)).jobs
    assert [job.id for job in jobs] == [job_id]


def is_blocking(server):
    with server.client() as client:
        return client.info("clients")["blocked_clients"]


async def test_queue_pauses_while_its_slot_is_on_two_nodes(cluster, producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    move = SlotMove(cluster, PREFIX).begin()
    move.move_keys(2)
    for call in (consumer.claim, consumer.wait_and_claim):
        with pytest.raises(RedisUnavailableError, match="moves this queue to another node"):
            call(1)
    with pytest.raises(RedisUnavailableError, match="moves this queue to another node"):
        await producer.submit(Submission("iris", DATA))
    move.end()
    jobs = patiently(lambda: consumer.wait_and_claim(1)).jobs
    assert [job.id for job in jobs] == [job_id]


SCRIPTS = [value for value in vars(scripts).values() if isinstance(value, Script)]


def test_no_script_begins_while_its_slot_is_on_two_nodes(cluster, settings, consumer):
    submit_many(settings, 30)
    jobs = consumer.claim(20)
    outcomes = [Outcome(job, result=b"1") for job in jobs]
    consumer.finish(outcomes[:10])
    move = SlotMove(cluster, PREFIX).begin()
    move.move_keys(25)
    before = move.read_all()
    assert all(len(keys) >= 20 for keys in before)
    with move.source.client() as client:
        present = next(client.scan_iter(f"{PREFIX}*"))
        for script in SCRIPTS:
            client.script_load(script.source)
            call = ScriptCall(script, [present], [])
            for command in (call.by_digest(PREFIX), call.by_source(PREFIX)):
                with pytest.raises((AskError, TryAgainError)):
                    client.execute_command(*command)
    runner = ScriptRunner(consumer.access.redis, PREFIX)
    for run in (runner.run, lambda call: runner.run_together([call]), run_in_transaction(settings)):
        with pytest.raises(SlotAwayError):
            run(call)
    assert move.read_all() == before
    move.end()
    assert patiently(lambda: consumer.finish(outcomes[10:])) == ["completed"] * 10
    assert len(patiently(lambda: consumer.claim(20))) == 10


def submit_many(settings, count):
    async def submit():
        producer = Producer.from_settings(settings)
        for _ in range(count):
            await producer.submit(Submission("iris", DATA))
        await producer.close()

    asyncio.run(submit())


def run_in_transaction(settings):
    """Runs a call as jobs are submitted."""

    async def run(call):
        client = connect_async(settings)
        try:
            await AsyncScriptRunner(client, PREFIX).run_in_transaction(
                call, [("SET", f"{PREFIX}job:1:data", "")]
            )
        finally:
            await close_async(client)

    return lambda call: asyncio.run(run(call))


async def test_scripts_of_several_models_take_no_notice_of_the_guard(settings, producer):
    models = ["iris", "digits", "wine"]
    consumer = Consumer(settings, "worker-1", models, times=RecoveryTimes(missing_seconds=0))
    ids = [await producer.submit(Submission(model, DATA)) for model in models]
    jobs = consumer.wait_and_claim(1).jobs + consumer.claim(1)
    assert {job.model for job in jobs} < set(models)
    await producer.redis.client.set(f"{PREFIX}job:orphan:data", DATA)
    await producer.redis.client.set(f"{PREFIX}job:orphan:status", "pending")
    assert wait_until(consumer.requeue_orphans, what="the rescue") == ["orphan"]
    history = await producer.read_history(models)
    assert [minutes[-1].submitted + minutes[-2].submitted for minutes in history.values()] == [1, 1, 1]
    page = await producer.listing.read_page(models)
    assert {job.id for job in page.jobs} == set(ids)
    assert await producer.redis.client.keys(f"{PREFIX}queue::*") == []
    consumer.close()


async def test_replica_of_a_killed_primary_goes_on(cluster, producer, consumer):
    first = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    second = await producer.submit(Submission("iris", DATA))
    primary = cluster.find_primary(PREFIX)
    primary.wait_for_replica(f"{PREFIX}replicated")
    primary.kill()
    third = await eventually(lambda: producer.submit(Submission("iris", DATA)))
    assert patiently(lambda: consumer.finish([Outcome(job, result=b"1")])) == ["completed"]
    assert [one.id for one in patiently(lambda: consumer.claim(2))] == [second, third]
    assert (await eventually(lambda: producer.read(first))).status is Status.COMPLETED


async def test_node_that_hangs_is_left_for_the_new_primary(cluster, producer, consumer):
    await producer.submit(Submission("iris", DATA))
    primary = cluster.find_primary(PREFIX)
    primary.wait_for_replica(f"{PREFIX}replicated")
    primary.hang()
    try:
        await eventually(lambda: producer.submit(Submission("iris", DATA)))
        assert len(patiently(lambda: consumer.claim(2))) == 2
    finally:
        primary.go_on()


async def test_waiting_client_is_notified_after_a_failover(cluster, settings, producer, consumer):
    subscriber = producer.open_subscriber()
    job_id = await producer.submit(Submission("iris", DATA))
    with subscriber.subscribe(job_id) as waiter:
        async with asyncio.timeout(60):
            while not subscriber.is_subscribed:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(lambda: cluster.fail_over(cluster.find_primary(PREFIX)))
            [job] = await asyncio.to_thread(patiently, lambda: consumer.claim(1))
            await asyncio.to_thread(patiently, lambda: consumer.finish([Outcome(job, result=b"1")]))
            while waiter.notified is not Status.COMPLETED:
                await waiter.wait(60)
    await subscriber.aclose()


async def test_cluster_of_which_no_node_answers_is_away():
    settings = Settings(redis_url="redis+cluster://127.0.0.1:1,127.0.0.1:2", key_prefix=PREFIX)
    no_answer = pytest.raises(RedisUnavailableError, match="none of the 2 nodes")
    with connect(settings) as client, no_answer, redis_errors():
        client.ping()
    producer = Producer.from_settings(settings)
    with pytest.raises(RedisUnavailableError, match="none of the 2 nodes"):
        await producer.ping()
    await producer.close()


async def test_cluster_in_which_nobody_serves_the_slot_is_down():
    node = Server("valkey", "--cluster-enabled", "yes", "--cluster-port", str(free_port())).start()
    settings = Settings(redis_url=f"redis+cluster://127.0.0.1:{node.port}", key_prefix=PREFIX)
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    with pytest.raises(RedisUnavailableError, match="CLUSTERDOWN"):
        await producer.submit(Submission("iris", DATA))
    with pytest.raises(RedisUnavailableError, match="CLUSTERDOWN"):
        consumer.claim(1)
    await producer.close()
    consumer.close()
    node.stop()


def test_server_that_is_on_no_cluster_is_a_clear_error(valkey_server):
    settings = Settings(redis_url=f"redis+cluster://127.0.0.1:{valkey_server.port}", key_prefix=PREFIX)
    consumer = Consumer(settings, "worker-1", ["iris"])
    with pytest.raises(InvalidSettingError, match="cluster support disabled"):
        consumer.check_server()
    consumer.close()


def test_url_is_taken_apart():
    url = "rediss+cluster://me:p%40ss@a:1,b?ssl_ca_certs=/ca.pem"
    nodes = (("a", 1), ("b", 6379))
    assert ClusterUrl.parse(url) == ClusterUrl(nodes, "rediss://me:p%40ss@a:1?ssl_ca_certs=/ca.pem")
    assert mask_url(url) == "rediss+cluster://me:***@a:1,b"


@pytest.mark.parametrize(
    ("url", "prefix", "words"),
    [
        ("redis+cluster://", PREFIX, "INFERQ_REDIS_URL"),
        ("redis+cluster://a:x", PREFIX, "INFERQ_REDIS_URL"),
        ("redis+cluster://a:1/3", PREFIX, "no numbered databases"),
        ("redis+cluster://a:1?jobs=5", PREFIX, "no option 'jobs'"),
        ("redis+cluster://a:1", "app:", "INFERQ_KEY_PREFIX 'app:' has no hash tag"),
        ("redis+cluster://a:1", "{}:", "has no hash tag"),
    ],
)
def test_url_that_cannot_be_used_is_a_clear_error(url, prefix, words):
    for make in (connect, connect_async):
        with pytest.raises(InvalidSettingError, match=words):
            make(Settings(redis_url=url, key_prefix=prefix))


def test_slot_is_that_of_the_hash_tag():
    assert find_slot("{inferq-0}:app:") == find_slot("x{inferq-0}") != find_slot("{inferq-1}:")
