"""Each claim, run and end of a job is observed once."""

import shutil
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inferq.errors import ErrorKind
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker.background.recoverer import Recoverer
from inferq.worker.processor import Processor
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.watchdog import Watchdog
from tests.integration.worker.processors import StubExecutor
from tests.models import serve
from tests.onnx_models import write_failing_model
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


class Recorder:
    """Keeps all that it is told."""

    def __init__(self):
        self.claimed, self.runs, self.ends = [], [], []

    def jobs_claimed(self, jobs):
        now = datetime.now(UTC)
        assert all(timedelta() <= now - job.submitted_at < timedelta(minutes=1) for job in jobs)
        self.claimed += [(job.id, job.attempt) for job in jobs]

    def run_ended(self, model, jobs, rows, seconds):
        assert seconds > 0
        self.runs.append((model, jobs, rows))

    def jobs_ended(self, outcomes, verdicts):
        self.ends += [
            (outcome.job.id, verdict, outcome.error and outcome.error.kind)
            for outcome, verdict in zip(outcomes, verdicts, strict=True)
        ]


@pytest.fixture
def process(settings):
    """Runs a processor until so many ends were observed; returns what the observer was told."""

    def run(model_name, ends, make_executor, **changes):
        chosen, recorder, outage = settings.model_copy(update=changes), Recorder(), Outage()
        consumer = Consumer(chosen, "worker-1", [model_name])
        watchdog = Watchdog(5.0, lambda _: None)
        processor = Processor(consumer, make_executor(watchdog, chosen, recorder), outage, recorder)
        parts = [watchdog, Recoverer(consumer, outage)]
        thread = threading.Thread(target=processor.run)
        for part in (*parts, thread):
            part.start()
        try:
            wait_until(lambda: len(recorder.ends) >= ends, what="all ends")
        finally:
            processor.stopping.set()
            thread.join()
            for part in parts:
                part.stop()
            consumer.close()
        return recorder

    return run


def executor_of(folder):
    def make(watchdog, settings, recorder):
        return Executor(serve(folder, settings), watchdog, settings, recorder)

    return make


@pytest.fixture
def iris(tmp_path):
    return executor_of(shutil.copytree("models/iris", tmp_path / "iris"))


@pytest.fixture
def table(tmp_path):
    """A model that fails on numbers that are not in its table."""
    return executor_of(Path(write_failing_model(tmp_path / "table")))


async def test_single_job_that_completes(producer, process, iris):
    job_id = await producer.submit(Submission("iris", b"[[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2]]"))
    observed = process("iris", 1, iris)
    assert observed.claimed == [(job_id, 1)]
    assert observed.runs == [("iris", 1, 2)]
    assert observed.ends == [(job_id, "completed", None)]


async def test_jobs_that_share_a_run(producer, process, iris):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(6)]
    observed = process("iris", 6, iris, batch_budget_seconds=60)
    assert observed.claimed == [(job_id, 1) for job_id in ids]
    assert observed.runs == [("iris", 6, 6)]
    assert observed.ends == [(job_id, "completed", None) for job_id in ids]


async def test_job_whose_data_is_invalid_fails_without_a_run(producer, process, iris):
    job_id = await producer.submit(Submission("iris", b"[[1,2,3]]"))
    observed = process("iris", 1, iris)
    assert observed.claimed == [(job_id, 1)]
    assert observed.runs == []
    assert observed.ends == [(job_id, "failed", ErrorKind.INVALID_INPUT)]


async def test_job_that_is_retried_is_claimed_and_ends_twice(producer, process, table):
    job_id = await producer.submit(Submission("table", b"[99]"))
    observed = process("table", 2, table, max_attempts=2)
    assert observed.claimed == [(job_id, 1), (job_id, 2)]
    assert observed.runs == [("table", 1, 1)] * 2
    assert observed.ends == [
        (job_id, "retrying", ErrorKind.MODEL_ERROR),
        (job_id, "failed", ErrorKind.MODEL_ERROR),
    ]


async def test_batch_that_fails_is_one_run_and_then_one_for_each_job(producer, process, table):
    good = [await producer.submit(Submission("table", b"[1]")) for _ in range(3)]
    bad = await producer.submit(Submission("table", b"[99]"))
    observed = process("table", 4, table, max_attempts=1, batch_budget_seconds=60)
    assert observed.runs == [("table", 4, 4)] + [("table", 1, 1)] * 4
    assert sorted(observed.ends) == sorted(
        [(bad, "failed", ErrorKind.MODEL_ERROR), *((job_id, "completed", None) for job_id in good)]
    )


async def test_job_that_times_out(producer, process, iris):
    job_id = await producer.submit(Submission("iris", DATA, timeout_seconds=0.1))
    observed = process("iris", 1, iris, simulated_run_seconds=60, max_attempts=1)
    assert observed.runs == [("iris", 1, 1)]
    assert observed.ends == [(job_id, "failed", ErrorKind.TIMED_OUT)]


class EchoExecutor(StubExecutor):
    """Runs four jobs at a time; the result of each is its data."""

    def plan_limits(self):
        return {"iris": 4}

    def run(self, jobs, _store):
        return [Outcome(job, result=job.data) for job in jobs]


async def test_jobs_that_are_prefetched_are_observed_once(producer, process):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(22)]
    observed = process("iris", 22, lambda *_: EchoExecutor())
    assert Counter(observed.claimed) == Counter((job_id, 1) for job_id in ids)
    assert Counter(observed.ends) == Counter((job_id, "completed", None) for job_id in ids)


async def test_large_results_that_are_stored_by_themselves_are_observed_once(producer, process):
    large = b'"' + b"x" * 1_100_000 + b'"'
    ids = [await producer.submit(Submission("iris", data)) for data in (large, b"1", large)]
    observed = process("iris", 3, lambda *_: EchoExecutor())
    assert Counter(observed.ends) == Counter((job_id, "completed", None) for job_id in ids)
