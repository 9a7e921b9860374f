"""Waiting for a job's end on the command line."""

import sys
from types import SimpleNamespace

from inferq.cli.job_result import wait_for_end
from inferq.errors import NotEndedError


class LargeJob:
    """A job whose rows are done one quarter after the other, each time that it is read."""

    id = "1"
    model = "iris"
    error = None

    def __init__(self):
        self.done = 0

    @property
    def has_ended(self):
        return self.done == 4

    @property
    def status(self):
        return "completed" if self.has_ended else "processing"

    @property
    def progress(self):
        return None if self.done in (0, 4) else self.done / 4

    def wait(self, timeout):
        if not self.has_ended:
            raise NotEndedError(f"not within {timeout} s", self.id)
        return self

    def refresh(self):
        self.done += 1
        return self


def test_progress_is_shown_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    job = LargeJob()
    wait_for_end(SimpleNamespace(), job, None)

    assert job.has_ended
    output, errors = capsys.readouterr()
    assert ("rows" in errors, output) == (True, "")
