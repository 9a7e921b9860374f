import asyncio
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from inferq.jobs import Outcome
from inferq.queue import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker.background.lease_renewer import LeaseRenewer
from inferq.worker.runs.watchdog import Watchdog
from tests.integration.worker.processors import StubProcessor
from tests.records import record

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def make_renewer(consumer, settings):
    def make(processor, watchdog=None):
        watchdog = watchdog or Watchdog(5.0, lambda _: None)
        executor = SimpleNamespace(find_timeout=lambda _: 60.0)
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


async def test_record_says_which_jobs_only_wait_for_files(consumer, producer, make_renewer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    processor = StubProcessor(consumer.claim(2))
    processor.waited = {processor.held[1]: 0.5}
    make_renewer(processor).run_once()
    assert [record(redis_client, job_id).get("awaits_files") for job_id in ids] == [None, "1"]
    processor.waited.clear()
    make_renewer(processor).run_once()
    assert [record(redis_client, job_id).get("awaits_files") for job_id in ids] == [None, None]


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
