"""Jobs whose end no worker reports: what the scripts answer of them, and who is told."""

from collections.abc import Callable, Sequence
from typing import Any

from inferq.jobs import Job
from inferq.queue.schema.decoding import decode_job
from inferq.queue.schema.ids import decode_id

type NoteEnded = Callable[[Sequence[Job]], None]
"""Is told of jobs that have ended: at least one, without their results.

A job is told of once: by the call that ended it. Where the answer of that call was lost, and a repetition
finds nothing more to end, nobody is told.
"""


def ignore_ended(jobs: Sequence[Job]) -> None:
    """Tells nobody."""


def decode_changed(answer: Sequence[Sequence[Any]]) -> list[Job]:
    """Makes jobs of what a script answers of those that it has changed.

    Args:
        answer: Of each job its id, public status, error or an empty text, and record; ends are so answered,
            see `lua/includes/ends.lua`.
    """
    jobs = []
    for job_id, status, message, record in answer:
        job = decode_job(decode_id(job_id), [status, None, message or None, False, record, None])
        if job is not None:
            jobs.append(job)
    return jobs
