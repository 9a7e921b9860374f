"""Processors for the tests of the parts that work beside one."""

import time

from inferq.jobs import Pace


class StubProcessor:
    """A processor that holds what it is given."""

    storing_seconds = 0.0
    jobs_done = 7
    paces = {"iris": Pace(0.5, 0.25, 4)}  # noqa: RUF012 - never changed

    def __init__(self, held=(), progressed_at=None):
        self.held = list(held)
        self.progressed_at = time.monotonic() if progressed_at is None else progressed_at
        self.stopped = []

    def receive_prefetched(self, older_than_seconds):
        assert older_than_seconds > 0

    def read_paces(self):
        return self.paces

    def is_unfinished(self, job):
        return job in self.held

    def stop_sharing(self, job):
        assert job in self.held

    def stop_storing(self, job, *, is_cancelled):
        self.stopped.append((job, is_cancelled))
