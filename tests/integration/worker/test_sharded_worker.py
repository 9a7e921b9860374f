"""Whole worker processes on two shards: two databases of a server, or two servers of which one goes away."""

import asyncio
import signal
from contextlib import AsyncExitStack

import orjson
import pytest
import redis

from inferq.blobs import open_store
from inferq.jobs import Status, WebhookStatus
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings
from inferq.tensors.envelope import read_reference
from tests import onnx_models
from tests.integration.worker.processes import WorkerProcess, ended, reported, settled
from tests.receivers import SECRET
from tests.servers import Server, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def redis_server(valkey_server):
    """One kind of server: what is asked of both is tested with the queue."""
    return valkey_server


@pytest.fixture
def settings(redis_url):
    """Two databases of one server, a shard in each."""
    base = redis_url.removesuffix("/0")
    return Settings(redis_url=f"{base}/0,{base}/1")


@pytest.fixture
async def open_producers():
    async with AsyncExitStack() as stack:

        def open_all(settings):
            producers = [Producer.from_settings(own) for own in split_settings(settings)]
            for producer in producers:
                stack.push_async_callback(producer.close)
            return producers

        yield open_all


@pytest.fixture
def producers(open_producers, settings):
    """A producer of each shard."""
    return open_producers(settings)


@pytest.fixture
def start(settings):
    workers = []

    def start(**changes):
        workers.append(WorkerProcess(changes.pop("redis_url", settings.redis_url), **changes))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


async def submit(producer, count=1, **fields):
    return [
        await producer.submit(Submission(fields.pop("model", "iris"), DATA, **fields)) for _ in range(count)
    ]


async def find_running(producers, ids):
    jobs = [
        job for producer, own in zip(producers, ids, strict=True) for job in await producer.read_many(own)
    ]
    return [job.id for job in jobs if job.status is Status.PROCESSING]


async def until_ended(producer, ids, timeout=60.0):
    return [await ended(producer, job_id, timeout) for job_id in ids]


async def test_worker_runs_jobs_of_both_shards_and_reports_to_both(start, producers, redis_client):
    worker = start()
    ids = [await submit(producer, 30) for producer in producers]
    for producer, own in zip(producers, ids, strict=True):
        jobs = await until_ended(producer, own)
        assert {(job.status, job.attempts) for job in jobs} == {(Status.COMPLETED, 1)}
        [live] = await reported(producer)
        assert live.pid == worker.process.pid
    code, log = worker.stop()
    assert (code, "Traceback" in log) == (0, False), log
    assert [await producer.read_workers() for producer in producers] == [[], []]


async def test_few_jobs_of_one_shard_do_not_wait_behind_the_full_queue_of_another(start, producers):
    many = await submit(producers[0], 400)
    few = await submit(producers[1], 4)
    start(simulated_run_seconds=0.01)
    last = max(job.finished_at for job in await until_ended(producers[1], few))
    done = [job for job in await producers[0].read_many(many) if job.status is Status.COMPLETED]
    assert sum(job.finished_at <= last for job in done) < 100


async def test_jobs_that_programs_from_outside_push_run_in_either_shard(start, redis_url):
    base = redis_url.removesuffix("/0")
    for number in range(2):
        with redis.Redis.from_url(f"{base}/{number}") as client:
            client.set("job:outside:data", DATA)
            client.set("job:outside:status", "pending")
            client.lpush("queue:iris", "outside")
    start()
    for number in range(2):
        with redis.Redis.from_url(f"{base}/{number}") as client:
            await asyncio.to_thread(wait_until, lambda: client.get("job:outside:status") == b"completed")
            assert orjson.loads(client.get("job:outside:result"))


async def test_jobs_of_a_killed_worker_run_on_another_in_both_shards(start, producers):
    ids = [await submit(producer, 2) for producer in producers]
    first = start(simulated_run_seconds=60, lease_seconds=1)
    async with asyncio.timeout(60):
        while not await find_running(producers, ids):
            await asyncio.sleep(0.02)
    first.process.send_signal(signal.SIGKILL)
    start(lease_seconds=1)
    for producer, own in zip(producers, ids, strict=True):
        assert {job.status for job in await until_ended(producer, own)} == {Status.COMPLETED}


@pytest.fixture
def servers():
    servers = [Server("valkey", "--appendfsync", "always").start() for _ in range(2)]
    yield servers
    for server in servers:
        server.stop()


@pytest.mark.parametrize("how", ["kill", "hang"])
async def test_one_shard_away_and_back_loses_nothing(start, open_producers, servers, how):
    settings = Settings(redis_url=",".join(server.url for server in servers))
    producers = open_producers(settings)
    worker = start(redis_url=settings.redis_url, simulated_run_seconds=0.3, lease_seconds=2, log_level="info")
    kept = await submit(producers[0], 3)
    async with asyncio.timeout(60):
        while (await producers[0].read(kept[0])).status is Status.PENDING:
            await asyncio.sleep(0.01)
    if how == "kill":
        servers[0].kill()
    else:
        servers[0].hang()
    others = await submit(producers[1], 6)
    assert {job.status for job in await until_ended(producers[1], others)} == {Status.COMPLETED}
    await worker.until_logged("shard_unavailable")
    assert len(await producers[1].read_workers()) == 1  # its heartbeats have gone on
    if how == "kill":
        servers[0].start()
    else:
        servers[0].go_on()
    jobs = await until_ended(producers[0], [*kept, *await submit(producers[0], 2)])
    assert {job.status for job in jobs} == {Status.COMPLETED}
    await worker.until_logged("shard_available_again")
    code, log = worker.stop()
    assert (code, "Traceback" in log) == (0, False), log
    assert "redis_unavailable" not in log


async def test_large_jobs_run_as_chunks_in_their_shard_and_results_lie_in_its_part_of_the_store(
    start, open_producers, settings, tmp_path
):
    onnx_models.write_two_by_two(tmp_path / "models" / "pair")
    store = {"blob_store": (tmp_path / "blobs").as_uri(), "blob_bytes": 1024, "blob_reserve_bytes": 0}
    settings = settings.model_copy(update=store)
    worker = start(models_dir=tmp_path / "models", split_rows=40, log_level="info", **store)
    data = orjson.dumps({"count": [[1, 2, 3]] * 400, "price": [[0.5, 1.5, 2.5]] * 400})
    for number, producer in enumerate(open_producers(settings)):
        job_id = await producer.submit(Submission("pair", data))
        job = await ended(producer, job_id)
        assert (job.status, job.error) == (Status.COMPLETED, None)
        await worker.until_logged("job_divided")
        own = split_settings(settings)[number]
        with redis.Redis.from_url(own.redis_url) as client:
            reference = read_reference(client.get(f"job:{job_id}:result"))
        assert open_store(own.blob_store).read(reference.key, reference.size)


async def test_webhooks_of_both_shards_are_delivered(start, producers, receiver):
    start(webhook_secret=SECRET, webhook_private_addresses=True)
    for producer in producers:
        [job_id] = await submit(producer, webhook=receiver.url)
        assert (await settled(producer, (await ended(producer, job_id)).id)).status is WebhookStatus.DELIVERED
    assert len(receiver.calls) == 2


async def test_large_job_whose_shard_goes_away_is_left_and_run_again(
    start, open_producers, servers, tmp_path
):
    settings = Settings(redis_url=",".join(server.url for server in servers))
    producers = open_producers(settings)
    folder = onnx_models.write_slow_echo(tmp_path / "models" / "slow")
    (folder / "model.toml").write_text("batch = true\n")
    worker = start(
        redis_url=settings.redis_url,
        models_dir=tmp_path / "models",
        split_rows=4,
        lease_seconds=1,
        model_threads=1,
        log_level="info",
    )
    data = orjson.dumps([60_000] * 80)
    large = await producers[0].submit(Submission("slow", data))
    await worker.until_logged("job_divided")
    servers[0].kill()
    small = await producers[1].submit(Submission("slow", b"[1, 2]"))
    assert (await ended(producers[1], small)).status is Status.COMPLETED
    servers[0].start()
    job = await ended(producers[0], large)
    assert (job.status, job.error) == (Status.COMPLETED, None)
