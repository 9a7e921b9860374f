"""Jobs of the version that serves run on a candidate too, are compared with it, and are counted once each."""

import asyncio
import threading
from dataclasses import replace

import orjson
import pytest

from inferq.jobs import ClaimedJob, Outcome, Priority, Status
from inferq.models.repository.model_folder import load_model
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.shadows import shadow_jobs
from inferq.queue.consumer.shadows.shadow_jobs import make_shadow_id
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.queue.retry_policy import RetryPolicy
from inferq.rollout import Rollout
from inferq.settings import Settings
from inferq.worker.background.recoverer import Recoverer
from inferq.worker.loading.batch_probe import plan_after_probe
from inferq.worker.processor import Processor
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.watchdog import Watchdog
from inferq.worker.serving.served_models import ServedModels, ServedTable, ServedVersion
from inferq.worker.shadows import shadow_sampler
from inferq.worker.shadows.shadow_comparer import ShadowComparer
from inferq.worker.shadows.shadow_sampler import ShadowSampler
from inferq.worker.shadows.shadows import Shadows
from tests.integration.worker.processes import ended
from tests.onnx_models import write_failing_model, write_ramp, write_slow_loop
from tests.servers import free_port

ALL = Rollout(shadow={"3": 1})


def load_version(folder, version, settings):
    model = load_model(folder)
    model.document = model.document.model_copy(update={"version": version})
    return ServedVersion(model, plan_after_probe(model, settings.batch_budget_seconds), None)


@pytest.fixture
def serve_versions(tmp_path, settings):
    """What a worker serves that has versions 2 and 3 of the model `ramp`; 3 is bent."""

    def serve(rollout=ALL, write=lambda folder: write_ramp(folder, bend=0.5)):
        serving = load_version(write_ramp(tmp_path / "2" / "ramp"), "2", settings)
        candidate = load_version(write(tmp_path / "3" / "ramp"), "3", settings)
        versions = {"ramp": serving, "ramp@2": serving, "ramp@3": candidate, "ramp@3~shadow": candidate}
        return ServedModels(ServedTable(versions, rollouts={"ramp": rollout}))

    return serve


@pytest.fixture
def start(settings, monkeypatch):
    """Starts a worker's parts, but for its heartbeat."""
    monkeypatch.setattr(shadow_sampler, "PAUSE_SECONDS", 0.01)
    started = []

    def start(served, **changes):
        chosen, outage = settings.model_copy(update=changes), Outage()
        provenances = served.table.name_provenances()
        retries = replace(RetryPolicy.for_jobs(chosen), base_seconds=0.01)
        consumer = Consumer(chosen, "worker-1", list(provenances), provenances, retries=retries)
        watchdog = Watchdog(5.0, lambda _: None)
        executor = Executor(served, watchdog, chosen)
        sampler = ShadowSampler(consumer, served, outage)
        comparer = ShadowComparer(consumer)
        processor = Processor(consumer, executor, outage, sampler, Shadows(sampler, comparer))
        thread = threading.Thread(target=processor.run)
        parts = [watchdog, Recoverer(consumer, outage), sampler, comparer]
        for part in (*parts, thread):
            part.start()
        started.append((consumer, processor, thread, parts))
        return consumer

    yield start
    for consumer, processor, thread, parts in started:
        processor.stopping.set()
        thread.join()
        for part in parts:
            part.stop()
        consumer.close()


async def read_report(producer, jobs):
    """The report of the candidate, once so many jobs are accounted for."""
    async with asyncio.timeout(60):
        while True:
            for report in await producer.read_shadows("ramp", ["3"]):
                if report.compared + report.failed + report.missed + report.skipped == jobs:
                    return report
            await asyncio.sleep(0.02)


async def submit(producer, numbers, model="ramp", **fields):
    return [await producer.submit(Submission(model, b"[%g]" % number, **fields)) for number in numbers]


async def test_the_report_tells_which_jobs_differ_and_by_how_much(producer, serve_versions, start):
    start(serve_versions())
    ids = await submit(producer, range(16))
    report = await read_report(producer, 16)
    assert (report.version, report.agreed, report.differed, report.failed) == ("3", 11, 5, 0)
    assert (report.primary.version, report.candidate.version) == ("2", "3")
    assert report.absolute == 2.5
    assert report.relative == pytest.approx(2.5 / 32.5)
    assert {job.job_id for job in report.differing} == set(ids[11:])
    assert {job.where for job in report.differing} == {"y[0]"}
    assert report.primary_runs.summarize().mean_seconds > 0 < report.candidate_runs.summarize().p99_seconds
    shadow = await ended(producer, make_shadow_id(ids[15], "ramp@3~shadow"))
    assert (shadow.priority, shadow.status) == (Priority.LOW, Status.COMPLETED)
    assert orjson.loads(shadow.result) == {
        "agrees": False,
        "primary_job_id": ids[15],
        "tolerance": 1e-4,
        "largest_difference": 2.5,
        "largest_relative_difference": pytest.approx(2.5 / 32.5),
        "where": "y[0]",
        "primary": "30.0",
        "candidate": "32.5",
    }
    primary = await producer.read(ids[15])
    assert (primary.result, primary.made_by.version) == (b'{"outputs":{"y":[30.0]}}', "2")


async def test_long_data_that_a_worker_drops_after_the_run_is_compared_too(producer, serve_versions, start):
    start(serve_versions())
    numbers = orjson.dumps([float(number % 13) for number in range(100_000)])
    job_id = await producer.submit(Submission("ramp", numbers))
    report = await read_report(producer, 1)
    assert (report.differed, report.absolute) == (1, 1)
    [job] = report.differing
    assert (job.job_id, job.where) == (job_id, "y[12]")


async def test_only_jobs_of_the_version_that_serves_are_drawn_and_only_their_share(
    producer, serve_versions, start
):
    rollout = Rollout(shadow={"3": 0.3}, tolerance=0.5)
    start(serve_versions(rollout))
    ids = await submit(producer, range(60))
    others = [
        *await submit(producer, range(5), "ramp@2"),
        *await submit(producer, range(5), "ramp@3"),
        await producer.submit(Submission("ramp", b'["x"]')),
    ]
    for job_id in ids + others:
        await ended(producer, job_id)
    drawn = [job_id for job_id in ids if rollout.choose_shadow(job_id)]
    report = await read_report(producer, len(drawn))
    assert (report.compared, report.agreed) == (len(drawn), len(drawn))
    shadow_ids = [make_shadow_id(job_id, "ramp@3~shadow") for job_id in others]
    assert await producer.read_many(shadow_ids) == [None] * len(others)


async def test_jobs_that_ran_on_a_version_with_a_share_are_not_compared(
    producer, serve_versions, start, settings, tmp_path
):
    rollout = Rollout(shares={"4": 0.5}, shadow={"3": 1})
    served = serve_versions(rollout)
    other = load_version(write_ramp(tmp_path / "4" / "ramp"), "4", settings)
    served.table = replace(served.table, versions={**served.table.versions, "ramp@4": other})
    start(served)
    ids = await submit(producer, range(40))
    for job_id in ids:
        await ended(producer, job_id)
    drawn = [job_id for job_id in ids if rollout.choose_version(job_id) is None]
    report = await read_report(producer, len(drawn))
    assert 0 < len(drawn) < len(ids)
    assert (report.compared, report.primary.version) == (len(drawn), "2")
    shadows = await producer.read_many([make_shadow_id(job_id, "ramp@3~shadow") for job_id in ids])
    assert sum(job is not None for job in shadows) == len(drawn)


async def test_a_candidate_that_is_not_served_is_not_tried(producer, serve_versions, start):
    start(serve_versions(Rollout(shadow={"9": 1})))
    [job_id] = await submit(producer, [1])
    assert (await ended(producer, job_id)).status is Status.COMPLETED
    assert await producer.read_shadows("ramp", ["9", "3"]) == []


async def test_a_candidate_that_fails_harms_no_job_of_users(producer, serve_versions, start):
    start(serve_versions(write=write_failing_model))
    ids = await submit(producer, range(4, 10))  # beyond its table
    report = await read_report(producer, 6)
    assert (report.failed, report.compared) == (6, 0)
    assert {job.job_id for job in report.differing} == set(ids)
    assert all(job.error for job in report.differing)
    assert {(await producer.read(job_id)).status for job_id in ids} == {Status.COMPLETED}


async def test_a_candidate_that_hangs_is_given_up_and_harms_no_job_of_users(
    producer, serve_versions, start, monkeypatch
):
    monkeypatch.setattr(shadow_sampler, "_CHECK_SECONDS", 0.01)
    start(serve_versions(write=write_slow_loop), run_timeout_seconds=0.3)
    ids = [await producer.submit(Submission("ramp", b"[1000000000000]")) for _ in range(30)]
    for job_id in ids:
        assert (await ended(producer, job_id)).status is Status.COMPLETED
    report = await read_report(producer, 30)
    assert (report.compared, report.waiting) == (0, 0)
    assert 1 <= report.failed < 30


async def test_what_is_too_long_to_be_kept_is_skipped(producer, serve_versions, start, monkeypatch):
    monkeypatch.setattr(shadow_sampler, "_MOST_JOB_BYTES", 30)
    start(serve_versions())
    await submit(producer, [1])
    await producer.submit(Submission("ramp", b"[1,2,3,4,5,6,7,8,9,10,11,12,13,14]"))
    report = await read_report(producer, 2)
    assert (report.skipped, report.agreed) == (1, 1)


async def test_a_result_that_lies_in_the_blob_store_already_is_skipped(producer, serve_versions, settings):
    served = serve_versions()
    consumer = Consumer(settings, "worker-1", [*served.table.versions], served.table.name_provenances())
    sampler = ShadowSampler(consumer, served, Outage())
    await submit(producer, [1])
    [job] = consumer.claim(1)
    sampler.draw([Outcome(job, b"{}", offloaded_at=1.0)])
    sampler.jobs_ended([Outcome(job)], ["completed"])
    sampler.run_once()
    [report] = await producer.read_shadows("ramp", ["3"])
    assert (report.skipped, report.waiting) == (1, 0)
    consumer.close()


async def test_a_result_that_is_written_into_a_bucket_is_skipped(producer, serve_versions, settings):
    served = serve_versions()
    consumer = Consumer(settings, "worker-1", [*served.table.versions], served.table.name_provenances())
    sampler = ShadowSampler(consumer, served, Outage())
    await submit(producer, [1], output="s3://results/today/")
    [job] = consumer.claim(1)
    sampler.draw([Outcome(job, b"{}")])
    sampler.jobs_ended([Outcome(job)], ["completed"])
    sampler.run_once()
    [report] = await producer.read_shadows("ramp", ["3"])
    assert (report.skipped, report.waiting) == (1, 0)
    consumer.close()


async def test_after_its_queue_was_full_nothing_is_submitted_for_a_moment(
    producer, serve_versions, settings, monkeypatch
):
    monkeypatch.setattr(shadow_jobs, "MOST_WAITING", 1)
    served = serve_versions()
    consumer = Consumer(settings, "worker-1", ["ramp"], {"ramp": "2"})
    sampler = ShadowSampler(consumer, served, Outage())
    await submit(producer, range(6))
    for job in consumer.claim(6):
        sampler.draw([Outcome(job, b"{}")])
        sampler.jobs_ended([Outcome(job)], ["completed"])
        sampler.run_once()
    [report] = await producer.read_shadows("ramp", ["3"])
    assert (report.skipped, report.waiting) == (5, 1)
    consumer.close()


@pytest.mark.parametrize("kind", ["crashed", "timed-out"])
async def test_a_candidate_that_kills_workers_or_hangs_is_suspended_until_it_is_tried_anew(
    producer, serve_versions, settings, redis_client, monkeypatch, kind
):
    monkeypatch.setattr(shadow_sampler, "_CHECK_SECONDS", 0)
    served = serve_versions()
    consumer = Consumer(settings, "worker-1", ["ramp"], {"ramp": "2"})
    sampler = ShadowSampler(consumer, served, Outage())

    async def run_primary():
        await submit(producer, [1])
        [job] = consumer.claim(1)
        sampler.draw([Outcome(job, b"{}")])
        sampler.jobs_ended([Outcome(job)], ["completed"])
        sampler.run_once()
        [report] = await producer.read_shadows("ramp", ["3"])
        return report

    assert (await run_primary()).waiting == 1
    redis_client.hset("queue:ramp@3~shadow:counts", f"failed|{kind}", 1)
    report = await run_primary()
    assert (report.waiting, report.skipped) == (0, 2)
    await producer.change_rollout("ramp", lambda _: ALL)
    sampler.run_once()
    assert (await run_primary()).waiting == 1
    consumer.close()


async def test_without_a_rollout_nothing_is_drawn(producer, serve_versions, start):
    served = serve_versions()
    served.table = replace(served.table, rollouts={})
    start(served)
    [job_id] = await submit(producer, [1])
    await ended(producer, job_id)
    assert await producer.read_shadows("ramp", ["3"]) == []


def test_shadow_jobs_are_given_back_whose_shard_is_away_for_long():
    away = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    consumer = Consumer(away, "worker-1", ["ramp"], outage=Outage(longest_seconds=0.05))
    comparer, job = ShadowComparer(consumer), ClaimedJob("a" * 32, "ramp@3~shadow", b"[1]", 1, "token")
    finished, given_back = [], []
    comparer.start()
    comparer.take([Outcome(job, b"1")], finished.extend, given_back.extend, threading.Event())
    comparer.stop()
    consumer.close()
    assert (finished, given_back) == ([], [job])
