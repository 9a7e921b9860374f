import asyncio

from structlog.testing import capture_logs

from inferq.jobs import Status
from inferq.observability.log_context import add_log_ids
from inferq.queue import Submission
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.redis_client.outage import Outage
from inferq.worker.background.recoverer import Recoverer
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_recoverer_requeues_jobs_whose_lease_has_ended(settings, producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA, request_id="r-1"))
    dead = Consumer(settings.model_copy(update={"lease_seconds": 0.01}), "worker-2", ["iris"])
    assert dead.claim(1)
    dead.close()
    await asyncio.sleep(0.02)
    with capture_logs(processors=[add_log_ids]) as logged:
        assert Recoverer(consumer, Outage()).run_once()
    assert (await producer.read(job_id)).status is Status.PENDING
    [line] = [line for line in logged if line["event"] == "jobs_recovered"]
    assert (line["lapsed"], line["job_id"], line["request_id"]) == (1, job_id, "r-1")


async def test_job_whose_record_was_deleted_is_named_once(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")
    redis_client.hdel("jobs:records", job_id)
    redis_client.delete(f"job:{job_id}:data")  # else it is an orphan
    recoverer = Recoverer(consumer, Outage())
    with capture_logs() as logged:
        wait_until(lambda: (recoverer.run_once(), logged)[1], what="a line")
        recoverer.run_once()
    assert [(line["event"], line.get("job_ids")) for line in logged] == [("jobs_lost", [job_id])]
