"""Runs of a worker are spans that lead back to the requests of their jobs."""

from inferq.queue.producer.submission import Submission
from tests.integration.worker.processes import ended, settled
from tests.receivers import SECRET

DATA = b"[[5.1,3.5,1.4,0.2]]"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def make_submission(number, data=DATA, **options):
    return Submission("iris", data, traceparent=f"00-{TRACE}-{number:016x}-01", **options)


async def test_run_is_linked_to_all_its_jobs_and_sent_before_the_worker_ends(
    start_worker, producer, otlp_receiver, monkeypatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    submissions = [make_submission(number) for number in range(1, 41)]
    bad = make_submission(41, b'[["a"]]')
    ids = await producer.submit_batch([*submissions, bad])
    worker = start_worker()
    for job_id in ids:
        await ended(producer, job_id)
    assert worker.stop()[0] == 0
    spans = otlp_receiver.spans
    runs = [span for span in spans if not span.has_failed]
    assert {(span.name, span.kind, span.service) for span in spans} == {
        ("process iris", "CONSUMER", "inferq-worker")
    }
    assert sum(span.attributes.get("messaging.batch.message_count", 1) for span in runs) == 40
    assert max(span.attributes.get("messaging.batch.message_count", 1) for span in runs) > 1
    found = [job for span in runs for job in span.links]
    assert sorted(found) == sorted(
        (TRACE, f"{number:016x}", one.id) for number, one in enumerate(submissions, 1)
    )
    [failed] = [span for span in spans if span.has_failed]
    assert failed.attributes["error.type"] == "invalid-input"
    assert (failed.trace_id, failed.parent_id) == (TRACE, f"{41:016x}")


async def test_webhook_carries_the_context_of_its_job(start_worker, producer, otlp_receiver, make_receiver):
    receiver = make_receiver()
    submission = make_submission(1, webhook=receiver.url)
    job_id = await producer.submit(submission)
    start_worker(webhook_secret=SECRET, webhook_private_addresses="true")
    await settled(producer, (await ended(producer, job_id)).id)
    [call] = receiver.calls
    headers = {name.lower(): value for name, value in call.headers.items()}
    assert headers["traceparent"] == submission.traceparent
    [span] = otlp_receiver.wait_for(1)
    assert (span.trace_id, span.attributes["messaging.message.id"]) == (TRACE, job_id)
