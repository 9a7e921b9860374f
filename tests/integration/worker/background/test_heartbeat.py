import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from structlog.testing import capture_logs

from inferq.jobs import WorkerInfo
from inferq.queue import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker.background.heartbeat import STALLED_SECONDS, Heartbeat
from inferq.worker.serving.served_models import ServedModels, ServedTable, ServedVersion
from tests.integration.worker.processors import StubProcessor

DATA = b"[[5.1,3.5,1.4,0.2]]"


def version_of(version):
    return ServedVersion(SimpleNamespace(document=SimpleNamespace(version=version)), None, None)


INFO = WorkerInfo(
    *("worker-1", "host", 1, (), datetime.now(UTC)),
    inferq_version="1.2",
)
SERVED = ServedModels(
    ServedTable(
        {"iris": version_of("abc"), "drained": version_of("old")}, {"iris": b"{}"}, {"bad": "It is bad."}
    )
)


def make_heartbeat(consumer, processor, outage=None):
    return Heartbeat(consumer, processor, INFO, SERVED, 5.0, outage or Outage(), lambda: 3)


async def test_heartbeat_reports_the_worker_and_what_it_has_done(consumer, producer):
    assert make_heartbeat(consumer, StubProcessor()).run_once()
    [live] = await producer.read_workers()
    assert (live.id, live.models, live.jobs_done) == ("worker-1", ("iris",), 7)
    assert (live.open_circuits, (await producer.read_metrics()).open_circuits) == (3, 3)
    assert (live.model_versions, live.inferq_version) == ({"iris": "abc"}, "1.2")
    assert live.left_out == {"bad": "It is bad."}
    assert abs(live.sent_at - live.seen_at) < timedelta(minutes=1)
    assert live.paces == StubProcessor.paces
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
