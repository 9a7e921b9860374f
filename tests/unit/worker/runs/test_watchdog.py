import threading

import pytest

from inferq.jobs import ClaimedJob
from inferq.worker.runs.watchdog import Watchdog
from tests.servers import wait_until

JOBS = [ClaimedJob(id=str(number), model="m", data=b"", attempt=1, token="token") for number in range(2)]


@pytest.fixture
def start_watchdog():
    started = []

    def start(run_stop_grace_seconds=60.0, on_hung_run=lambda _: None):
        started.append(Watchdog(run_stop_grace_seconds, on_hung_run))
        started[-1].start()
        return started[-1]

    yield start
    for watchdog in started:
        watchdog.stop()


def test_run_that_takes_too_long_is_stopped(start_watchdog):
    with start_watchdog().guard(JOBS, 0.01) as run:
        assert run.handle.rest(60)
    assert run.stopped_at is not None
    assert not run.is_cancelled


def test_run_within_its_time_is_left_alone(start_watchdog):
    watchdog = start_watchdog()
    with watchdog.guard(JOBS, 60.0) as run:
        assert not run.handle.rest(0.2)
    assert run.stopped_at is None


def test_run_is_stopped_once_all_its_jobs_are_cancelled(start_watchdog):
    watchdog = start_watchdog()
    with watchdog.guard(JOBS, 60.0) as run:
        watchdog.cancel(JOBS[0])
        assert not run.handle.is_stopped
        watchdog.cancel(JOBS[1])
        assert run.handle.is_stopped
    assert run.is_cancelled


def test_cancelling_a_job_that_does_not_run_changes_nothing(start_watchdog):
    watchdog = start_watchdog()
    watchdog.cancel(JOBS[0])
    with watchdog.guard(JOBS[:1], 60.0) as run:
        watchdog.cancel(JOBS[1])
        assert not run.handle.is_stopped


def test_run_that_does_not_stop_is_reported(start_watchdog):
    hung, reported = [], threading.Event()

    def on_hung_run(run):
        hung.append(run)
        reported.set()

    with start_watchdog(0.01, on_hung_run).guard(JOBS, 0.01) as run:
        assert reported.wait(60)
    assert hung[0] is run


def test_run_after_an_idle_time_is_watched_too(start_watchdog):
    watchdog = start_watchdog()
    for _ in range(3):
        with watchdog.guard(JOBS, 0.01) as run:
            assert run.handle.rest(60)
        wait_until(lambda: not watchdog.is_busy, what="an idle watchdog")
