"""A Redis Cluster changes under load: nothing is lost beyond what replication loses, nothing ends twice."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.queue.calls import eventually
from tests.integration.queue.redis_client.cluster.conftest import PREFIX, patiently
from tests.redis_cluster import SlotMove

SUBMITTERS, WORKERS, MOST_OPEN = 4, 2, 200
TIMES = RecoveryTimes(missing_seconds=0.5)


class Load:
    """Submits and completes jobs until it is told to stop.

    Attributes:
        accepted: When each job was submitted, and when it was accepted.
        completed: When a job was reported, and when the queue said that it has completed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accepted: dict[str, tuple[float, float]] = {}
        self.completed: list[tuple[str, tuple[float, float]]] = []
        self._submitting, self._working = True, threading.Event()

    async def run(self, disturb) -> None:
        """Lets all begin, disturbs them, lets them go on, and drains."""
        producer = Producer.from_settings(self.settings)
        with ThreadPoolExecutor(WORKERS) as threads:
            workers = [threads.submit(self._work, f"worker-{number}") for number in range(WORKERS)]
            try:
                submitters = [asyncio.create_task(self._submit(producer)) for _ in range(SUBMITTERS)]
                await self._advance()
                await asyncio.to_thread(disturb)
                await self._advance()
                self._submitting = False
                await asyncio.gather(*submitters)
                await self._drain(producer)
            finally:
                self._submitting = False
                self._working.set()
        for worker in workers:
            worker.result()
        await producer.close()

    async def _advance(self) -> None:
        """Waits until so many more jobs were accepted, and completed."""
        accepted, completed = len(self.accepted), len(self.completed)
        async with asyncio.timeout(60):
            while len(self.accepted) < accepted + 100 or len(self.completed) < completed + 100:
                await asyncio.sleep(0.01)

    async def _submit(self, producer: Producer) -> None:
        while self._submitting:
            if len(self.accepted) > len(self.completed) + MOST_OPEN:
                await asyncio.sleep(0.01)
                continue
            began = time.monotonic()
            try:
                job_id = await producer.submit(Submission("iris", b"[[1,2,3,4]]"))
                self.accepted[job_id] = began, time.monotonic()
            except RedisUnavailableError:
                await asyncio.sleep(0.05)

    def _work(self, name: str) -> None:
        consumer = Consumer(self.settings, name, ["iris"], times=TIMES)
        recovered_at = 0.0
        while not self._working.is_set():
            _, jobs, popped = patiently(lambda: consumer.wait_and_claim(32, timeout_seconds=0.2))
            if popped:
                jobs = patiently(lambda popped=popped: consumer.claim(32, popped))
            began = time.monotonic()
            verdicts = patiently(lambda jobs=jobs: consumer.finish([Outcome(job, b"1") for job in jobs]))
            now = time.monotonic()
            ended = zip(jobs, verdicts, strict=True)
            self.completed += [(job.id, (began, now)) for job, verdict in ended if verdict == "completed"]
            if now > recovered_at + 0.2:
                patiently(consumer.recover)
                recovered_at = now
        consumer.close()

    async def _drain(self, producer: Producer) -> None:
        async with asyncio.timeout(60):
            while set((await self.read_statuses(producer)).values()) - {None, Status.COMPLETED}:
                await asyncio.sleep(0.1)

    async def read_statuses(self, producer: Producer) -> dict[str, Status | None]:
        return await eventually(lambda: producer.jobs.read_statuses(list(self.accepted)))

    async def find_lost(self) -> list[str]:
        producer = Producer.from_settings(self.settings)
        try:
            return [
                job_id for job_id, status in (await self.read_statuses(producer)).items() if status is None
            ]
        finally:
            await producer.close()

    def find_doubled(self) -> list[str]:
        times = Counter(job_id for job_id, _ in self.completed)
        return [job_id for job_id, count in times.items() if count > 1]


@pytest.fixture
def load(settings):
    return Load(settings.model_copy(update={"lease_seconds": 2.0}))


async def test_nothing_is_lost_nor_doubled_while_a_slot_moves_key_by_key(cluster, load):
    def move():
        for _ in range(2):
            move = SlotMove(cluster, PREFIX).begin()
            while move.move_keys(20):
                time.sleep(0.001)
            move.end()

    await load.run(move)
    assert await load.find_lost() == load.find_doubled() == []


async def test_nothing_is_lost_nor_doubled_while_a_slot_moves_at_once(cluster, load):
    if cluster.nodes[0].kind == "redis":
        pytest.skip("Redis 7 cannot")
    await load.run(lambda: [SlotMove(cluster, PREFIX).move_at_once() for _ in range(2)])
    assert await load.find_lost() == load.find_doubled() == []


async def test_nothing_is_lost_nor_doubled_in_a_failover_by_hand(cluster, load):
    def fail_over():
        for _ in range(2):
            cluster.fail_over(cluster.find_primary(PREFIX))
            cluster.wait_until_whole()

    await load.run(fail_over)
    assert await load.find_lost() == load.find_doubled() == []


async def test_killed_primary_loses_what_its_replica_had_not_received(cluster, load):
    def kill():
        primary = cluster.find_primary(PREFIX)
        times.append(time.monotonic())
        primary.wait_for_replica(f"{PREFIX}replicated")
        primary.kill()
        times.append(time.monotonic())

    times = []
    await load.run(kill)
    lost, doubled = await load.find_lost(), load.find_doubled()
    print(f"accepted {len(load.accepted)}, lost {len(lost)}, completed twice {len(doubled)}")
    ended = dict(reversed(load.completed))
    received_at, killed_at = times
    for began, done in [load.accepted[one] for one in lost] + [ended[one] for one in doubled]:
        assert done > received_at, "its replica had received it"
        assert began < killed_at, "the new primary was told"
