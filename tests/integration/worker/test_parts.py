"""The parts of a worker that work beside its processor, one run of each at a time."""

import asyncio
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker.heartbeat import STALLED_SECONDS, Heartbeat
from inferq.worker.lease_renewer import LeaseRenewer
from inferq.worker.recoverer import Recoverer
from inferq.worker.watchdog import Watchdog

DATA = b"[[5.1,3.5,1.4,0.2]]"
INFO = WorkerInfo("worker-1", "host", 1, ("iris",), datetime.now(UTC))


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris"])
    yield consumer
    consumer.close()


class StubProcessor:
    """A processor that holds what it is given."""

    storing_seconds = 0.0
    jobs_done = 7

    def __init__(self, held=(), progressed_at=None):
        self.held = list(held)
        self.progressed_at = time.monotonic() if progressed_at is None else progressed_at
        self.stopped = []

    def receive_prefetched(self, older_than_seconds):
        assert older_than_seconds > 0

    def is_unfinished(self, job):
        return job in self.held

    def stop_storing(self, job, *, is_cancelled):
        self.stopped.append((job, is_cancelled))


def make_heartbeat(consumer, processor, outage=None):
    return Heartbeat(consumer, processor, INFO, {"iris": b"{}"}, 5.0, outage or Outage())


async def test_heartbeat_reports_the_worker_and_what_it_has_done(consumer, producer):
    assert make_heartbeat(consumer, StubProcessor()).run_once()
    [live] = await producer.read_workers()
    assert (live.id, live.models, live.jobs_done) == ("worker-1", ("iris",), 7)
    assert await producer.read_models() == {"iris": b"{}"}


async def test_processor_that_has_stalled_is_not_reported(consumer, producer):
    stalled = StubProcessor(progressed_at=time.monotonic() - STALLED_SECONDS - 1)
    with capture_logs() as logged:
        assert not make_heartbeat(consumer, stalled).run_once()
    assert [line["event"] for line in logged] == ["worker_stalled"]
    assert await producer.read_workers() == []


async def test_processor_that_runs_a_long_job_is_reported(consumer, producer):
    await producer.submit(Submission("iris", DATA))
    busy = StubProcessor(consumer.claim(1), progressed_at=time.monotonic() - STALLED_SECONDS - 1)
    assert make_heartbeat(consumer, busy).run_once()
    assert len(await producer.read_workers()) == 1


@pytest.fixture
def make_renewer(consumer, settings):
    def make(processor, watchdog=None):
        watchdog = watchdog or Watchdog(5.0, lambda _: None)
        executor = SimpleNamespace(timeout_of=lambda _: 60.0)
        return LeaseRenewer(consumer, processor, executor, watchdog, settings, Outage())

    return make


async def test_leases_of_held_jobs_are_renewed(consumer, producer, make_renewer, redis_client):
    await producer.submit(Submission("iris", DATA))
    processor = StubProcessor(consumer.claim(1))
    before = redis_client.zrange("queue:iris:leases", 0, -1, withscores=True)
    await asyncio.sleep(0.01)  # the server's clock has milliseconds
    assert make_renewer(processor).run_once()
    after = redis_client.zrange("queue:iris:leases", 0, -1, withscores=True)
    assert after[0][1] > before[0][1]
    assert processor.stopped == []


async def test_idle_worker_asks_the_server_nothing_for_its_leases(make_renewer):
    assert not make_renewer(StubProcessor()).run_once()


async def test_run_of_a_cancelled_job_is_stopped(consumer, producer, make_renewer):
    job_id = await producer.submit(Submission("iris", DATA))
    processor, watchdog = StubProcessor(consumer.claim(1)), Watchdog(5.0, lambda _: None)
    await producer.cancel(job_id)
    with watchdog.guard(processor.held, 60.0) as run, capture_logs() as logged:
        make_renewer(processor, watchdog).run_once()
        assert run.handle.is_stopped
    assert run.is_cancelled
    assert processor.stopped == [(processor.held[0], True)]
    assert [(line["event"], line["reason"]) for line in logged] == [("lease_not_renewed", "cancelled")]


async def test_result_of_a_job_whose_lease_is_lost_is_not_stored_any_longer(consumer, producer, make_renewer):
    await producer.submit(Submission("iris", DATA))
    processor = StubProcessor(consumer.claim(1))
    consumer.finish([Outcome(processor.held[0], result=b"{}")])
    make_renewer(processor).run_once()
    assert processor.stopped == [(processor.held[0], False)]


async def test_recoverer_requeues_jobs_whose_lease_has_ended(settings, producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    dead = Consumer(settings.model_copy(update={"lease_seconds": 0.01}), "worker-2", ["iris"])
    assert dead.claim(1)
    dead.close()
    await asyncio.sleep(0.02)
    with capture_logs() as logged:
        assert Recoverer(consumer, Outage()).run_once()
    assert (await producer.read(job_id)).status is Status.PENDING
    assert ("jobs_recovered", 1) in [(line["event"], line.get("lapsed")) for line in logged]
