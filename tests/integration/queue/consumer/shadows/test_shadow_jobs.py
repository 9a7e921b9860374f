"""Shadow jobs: submitted once for each primary, compared with its result, and counted once."""

import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.shadows import shadow_jobs
from inferq.queue.consumer.shadows.shadow_findings import ShadowFinding
from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample, make_shadow_id
from inferq.queue.producer.submission import Submission
from inferq.rollout import Rollout
from tests.integration.queue.consumer.claiming import complete

QUEUE = "iris@3~shadow"
RESULT = b'{"prediction":0}'


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris", QUEUE], {"iris": "2", QUEUE: "3"})
    yield consumer
    consumer.close()


@pytest.fixture
def run_primary(producer, consumer):
    """Submits a job and runs it; returns what is sampled of it."""

    async def run(data=b"[[1.0]]", result=RESULT, **fields):
        await producer.submit(Submission("iris", data, **fields))
        [job] = consumer.claim(1)
        assert complete(consumer, job, result) == ["completed"]
        return ShadowSample(job, QUEUE, 0.02, 2, len(result), 1e-4)

    return run


def find(job, primary, *, agrees=True, **fields):
    return ShadowFinding(job, "3", primary, 0.04, 4, agrees, **fields)


def compare_next(consumer, *, agrees=True, **fields):
    """Claims the next shadow job, and counts what it finds, as a worker does."""
    [job] = consumer.claim(1)
    [primary] = consumer.shadow_findings.read_primaries([job])
    consumer.shadow_findings.note(QUEUE, [find(job, primary, agrees=agrees, **fields)])
    assert complete(consumer, job) == ["completed"]
    return job, primary


async def test_a_shadow_job_waits_at_low_priority_and_belongs_to_the_owner_of_its_primary(
    producer, consumer, run_primary
):
    sample = await run_primary(owner="ana", request_id="request-1", webhook="http://127.0.0.1/")
    assert consumer.shadow_jobs.submit([sample]) == 0
    shadow = await producer.read(make_shadow_id(sample.job.id, QUEUE))
    assert (shadow.model, shadow.status, shadow.priority) == (QUEUE, Status.PENDING, Priority.LOW)
    assert (shadow.owner, shadow.request_id, shadow.webhook) == ("ana", "request-1", None)
    [job] = consumer.claim(1)
    assert (job.id, job.data, job.timeout_seconds) == (shadow.id, b"[[1.0]]", 10)


async def test_a_primary_that_is_submitted_twice_has_one_shadow_job(consumer, run_primary):
    sample = await run_primary()
    assert consumer.shadow_jobs.submit([sample, sample]) == 0
    assert consumer.shadow_jobs.submit([sample]) == 0
    assert len(consumer.claim(5)) == 1


@pytest.mark.parametrize("size", [10, 20_000, 5_000_000])
async def test_what_a_shadow_job_is_compared_with_is_read_however_long(consumer, run_primary, size):
    result = b'"' + b"a" * size + b'"'
    sample = await run_primary(data=b"[" + b" " * size + b"1]", result=result)
    other = await run_primary()
    assert consumer.shadow_jobs.submit([sample, other]) == 0
    jobs = {job.id: job for job in consumer.claim(1) + consumer.claim(1)}
    job, small = (jobs[make_shadow_id(one.job.id, QUEUE)] for one in (sample, other))
    assert job.data == sample.job.data
    long, short = consumer.shadow_findings.read_primaries([job, small])
    assert (long.id, long.made_by, long.run_seconds, long.run_jobs, long.tolerance) == (
        sample.job.id, "2", 0.02, 2, 1e-4
    )  # fmt: skip
    assert (long.result, short.result) == (result, RESULT)


async def test_data_and_results_in_the_blob_store_are_stored_and_read_there(tmp_path, settings, redis_client):
    settings = settings.model_copy(update={"blob_store": f"file://{tmp_path}/blobs", "blob_bytes": 1000})
    consumer = Consumer(settings, "worker-1", ["iris", QUEUE])
    blobs = consumer._blobs
    data = b"[" + b" " * 2000 + b"1]"
    redis_client.set("job:1:data", blobs.write_data("1", data))
    redis_client.lpush("queue:iris", "1")
    [job] = consumer.claim(1)
    [outcome] = consumer.offload_results([Outcome(job, data)])
    assert consumer.finish([outcome]) == ["completed"]
    assert consumer.shadow_jobs.submit([ShadowSample(job, QUEUE, 0.1, 1, len(data), 0)]) == 0
    [shadow] = consumer.claim(1)
    assert (shadow.data, shadow.blob_key.partition("/")[0]) == (data, make_shadow_id("1", QUEUE))
    [primary] = consumer.shadow_findings.read_primaries([shadow])
    assert primary.result == data
    consumer.close()


async def test_beyond_so_many_none_is_accepted(monkeypatch, redis_client, consumer, run_primary):
    monkeypatch.setattr(shadow_jobs, "MOST_WAITING", 2)
    samples = [await run_primary() for _ in range(3)]
    assert consumer.shadow_jobs.submit(samples) == 1
    assert redis_client.llen(f"queue:{QUEUE}:low") == 2


async def test_of_long_data_fewer_wait(monkeypatch, redis_client, consumer, run_primary):
    monkeypatch.setattr(shadow_jobs, "_MOST_WAITING_BYTES", 60_000)
    samples = [await run_primary(data=b"[" + b" " * 25_000 + b"1]") for _ in range(3)]
    assert consumer.shadow_jobs.submit(samples) == 1
    assert redis_client.llen(f"queue:{QUEUE}:low") == 2
    refused = make_shadow_id(samples[2].job.id, QUEUE)
    assert not redis_client.exists(f"job:{refused}:data")


async def test_each_job_is_counted_once_though_its_comparison_is_told_again(producer, consumer, run_primary):
    consumer.shadow_jobs.submit([await run_primary() for _ in range(3)])
    [job] = consumer.claim(1)
    [primary] = consumer.shadow_findings.read_primaries([job])
    for _ in range(2):
        consumer.shadow_findings.note(QUEUE, [find(job, primary)])
    consumer.requeue([job])
    assert compare_next(consumer)[0].id == job.id
    compare_next(consumer, agrees=False, absolute=0.5, relative=0.25, where="scores[0]")
    _, last = compare_next(consumer, agrees=False, absolute=0.1, relative=0.75, where="scores[1]")

    [report] = await producer.read_shadows("iris", [])
    assert (report.version, report.compared, report.agreed, report.differed) == ("3", 3, 1, 2)
    assert (report.absolute, report.relative, report.tolerance) == (0.5, 0.75, 1e-4)
    assert (report.primary.version, report.candidate.version) == ("2", "3")
    assert [job.where for job in report.differing] == ["scores[1]", "scores[0]"]
    assert report.differing[0].job_id == last.id
    primary, candidate = report.primary_runs.summarize(), report.candidate_runs.summarize()
    assert (primary.mean_seconds, primary.mean_batch_jobs) == (pytest.approx(0.02), 2)
    assert (candidate.mean_seconds, candidate.mean_batch_jobs) == (pytest.approx(0.04), 4)
    assert primary.p50_seconds == pytest.approx(0.02, rel=0.3)
    assert candidate.p99_seconds == pytest.approx(0.04, rel=0.3)


async def test_a_primary_that_is_gone_counts_as_missed(producer, consumer, run_primary):
    sample = await run_primary()
    consumer.shadow_jobs.submit([sample])
    await producer.delete(sample.job.id)
    [job] = consumer.claim(1)
    [primary] = consumer.shadow_findings.read_primaries([job])
    assert primary.result is None
    consumer.shadow_findings.note(QUEUE, [find(job, primary, agrees=None)])
    [report] = await producer.read_shadows("iris", [])
    assert (report.missed, report.compared, report.primary_runs.summarize().p50_seconds) == (1, 0, None)


async def test_a_job_that_no_worker_submitted_is_compared_with_nothing(redis_client, producer, consumer):
    redis_client.set("job:odd:data", "[1]")
    redis_client.lpush(f"queue:{QUEUE}", "odd")
    [job] = consumer.claim(1)
    for note in ("", "[]", "{"):
        redis_client.set("job:odd:primary", note)
        assert consumer.shadow_findings.read_primaries([job]) == [None]
    consumer.shadow_findings.note(QUEUE, [find(job, None, agrees=None)])
    assert not redis_client.exists(f"queue:{QUEUE}:comparisons")


async def test_a_candidate_that_fails_is_told_with_its_error(producer, consumer, run_primary):
    sample = await run_primary()
    consumer.shadow_jobs.submit([await run_primary(), sample])
    compare_next(consumer)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, error=InvalidInputError("Expected 4 features."))])
    [report] = await producer.read_shadows("iris", [])
    assert (report.compared, report.failed, report.waiting) == (1, 1, 0)
    [failed] = report.differing
    assert (failed.job_id, failed.shadow_job_id) == (sample.job.id, job.id)
    assert (failed.error, failed.absolute) == ("Expected 4 features.", None)


async def test_failures_of_a_pair_of_before_are_not_told(producer, consumer, run_primary):
    async def fail_next():
        consumer.shadow_jobs.submit([await run_primary()])
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, error=InvalidInputError("Expected 4 features."))])

    await fail_next()
    consumer.shadow_jobs.submit([await run_primary()])
    compare_next(consumer)
    [report] = await producer.read_shadows("iris", [])
    assert (report.compared, report.failed, len(report.differing)) == (1, 1, 1)

    consumer.shadow_jobs.submit([(await run_primary())._replace(tolerance=0.5)])
    compare_next(consumer)
    await fail_next()
    [report] = await producer.read_shadows("iris", [])
    assert (report.compared, report.failed, len(report.differing)) == (1, 1, 1)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-3])
async def test_what_was_compared_of_another_pair_is_forgotten(producer, consumer, run_primary, tolerance):
    consumer.shadow_jobs.submit([await run_primary()])
    compare_next(consumer, agrees=False, where="scores")
    later = (await run_primary())._replace(tolerance=tolerance)
    consumer.shadow_jobs.submit([later])
    compare_next(consumer)
    [report] = await producer.read_shadows("iris", [])
    assert (report.tolerance, report.compared) == (tolerance, 2 if tolerance == 1e-4 else 1)
    assert bool(report.differing) == (tolerance == 1e-4)


async def test_jobs_of_a_pair_of_before_are_counted_no_more(producer, consumer, run_primary):
    early = await run_primary()
    consumer.shadow_jobs.submit([early])
    [job] = consumer.claim(1)
    [primary] = consumer.shadow_findings.read_primaries([job])
    later = (await run_primary())._replace(tolerance=0.5)
    consumer.shadow_jobs.submit([later])
    job = job._replace(submitted_at=early.job.submitted_at)
    compare_next(consumer)
    consumer.shadow_findings.note(QUEUE, [find(job, primary)])
    [report] = await producer.read_shadows("iris", [])
    assert (report.tolerance, report.compared) == (0.5, 1)


async def test_skipped_jobs_are_counted(producer, consumer):
    consumer.shadow_findings.note_skipped(QUEUE, 3)
    [report] = await producer.read_shadows("iris", ["1", "3"])
    assert (report.version, report.skipped, report.since) == ("3", 3, None)


async def test_a_candidate_that_is_tried_anew_is_told_of_from_then_on(producer, consumer, run_primary):
    consumer.shadow_jobs.submit([await run_primary() for _ in range(2)])
    compare_next(consumer)
    [late] = consumer.claim(1)
    for rollout in (Rollout(shadow={"3": 0.1}), Rollout(shadow={"3": 0.2}), None, Rollout(shadow={"3": 0.1})):
        await producer.change_rollout("iris", lambda _, new=rollout: new)
        [report] = await producer.read_shadows("iris", [])
        assert report.compared == 0
    [primary] = consumer.shadow_findings.read_primaries([late])
    consumer.shadow_findings.note(QUEUE, [find(late, primary)])
    consumer.shadow_jobs.submit([await run_primary()])
    compare_next(consumer)
    await producer.change_rollout("iris", lambda present: present.model_copy(update={"shadow": {"3": 1.0}}))
    [report] = await producer.read_shadows("iris", [])
    assert (report.compared, report.failed) == (1, 0)
