"""Processors for the tests of the parts that work beside one, and executors for those of processors."""

import time

import pytest

from inferq.jobs import Pace
from inferq.worker.runs.awaited_files import AwaitedFiles


class StubProcessor:
    """A processor that holds what it is given."""

    storing_seconds = 0.0
    jobs_done = 7
    paces = {"iris": Pace(0.5, 0.25, 4)}  # noqa: RUF012 - never changed

    def __init__(self, held=(), progressed_at=None):
        self.held = list(held)
        self.progressed_at = time.monotonic() if progressed_at is None else progressed_at
        self.stopped = []
        self.waited = {}

    def receive_prefetched(self, older_than_seconds):
        assert older_than_seconds > 0

    def read_paces(self):
        return self.paces

    def is_unfinished(self, job):
        return job in self.held

    def stop_sharing(self, job):
        assert job in self.held

    def stop_awaiting(self, job):
        assert job in self.held

    def waited_seconds(self, job):
        return self.waited.get(job, 0.0)

    def is_waiting(self, job):
        return job in self.waited

    def stop_storing(self, job, *, is_cancelled):
        self.stopped.append((job, is_cancelled))


class StubExecutor:
    """An executor whose jobs name no files."""

    def __init__(self):
        self.awaited = AwaitedFiles(lambda _: pytest.fail("nothing is to be fetched"))
