"""Which jobs a listing, or an action on many, is about."""

import json
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from inferq.errors import ErrorKind
from inferq.jobs import Job, Status
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.shard_ids import is_own_id

_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What jobs must have besides a model and a status. What is left out, any job has.

    Attributes:
        owner: Name of the API key it was submitted with; empty for jobs without one.
        error_kind: Why it failed.
        id_prefix: How its id begins.
        error: What its error contains; of letters, A to Z are the same as a to z.
        since: Earliest time: of its end if it has ended, else of its submission.
        until: Latest such time. Both to the millisecond.
    """

    owner: str | None = None
    error_kind: ErrorKind | None = None
    id_prefix: str = ""
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def wants_failed(self) -> bool:
        """Whether only failed jobs can fit."""
        return self.error_kind is not None or self.error != ""

    def choose_statuses(self, statuses: Sequence[Status]) -> list[Status]:
        """Returns those of these statuses that jobs can have which fit."""
        return [status for status in statuses if status is Status.FAILED or not self.wants_failed]

    @property
    def job_id(self) -> str | None:
        """The one job that fits, where a whole id of inferq's own is given."""
        return self.id_prefix if is_own_id(self.id_prefix) else None

    def encode(self) -> bytes:
        """Returns it for `lua/list.lua`: JSON, or nothing where all jobs fit."""
        members = {
            "owner": self.owner,
            "error_kind": self.error_kind,
            "id_prefix": self.id_prefix or None,
            "error": self.error.translate(_TO_LOWER) or None,
            "since_ms": None if self.since is None else _to_milliseconds(self.since),
            "until_ms": None if self.until is None else _to_milliseconds(self.until),
        }
        given = {name: value for name, value in members.items() if value is not None}
        # ids from outside may be any bytes, which JSON would escape
        return encode_id(json.dumps(given, ensure_ascii=False)) if given else b""

    def fits(self, job: Job) -> bool:
        """Whether a job that was read fits, as the script decides it."""
        return (
            (self.owner is None or job.owner == self.owner)
            and (not self.wants_failed or job.status is Status.FAILED)
            and (self.error_kind is None or job.error_kind is self.error_kind)
            and job.id.startswith(self.id_prefix)
            and self.error.translate(_TO_LOWER) in (job.error or "").translate(_TO_LOWER)
            and self._is_in_time(job.finished_at if job.status.is_final else job.submitted_at)
        )

    def _is_in_time(self, moment: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        at_ms = -math.inf if moment is None else _to_milliseconds(moment)
        return (self.since is None or _to_milliseconds(self.since) <= at_ms) and (
            self.until is None or at_ms <= _to_milliseconds(self.until)
        )


ANY_JOB = JobFilter()


def _to_milliseconds(moment: datetime) -> int:
    """Returns milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
