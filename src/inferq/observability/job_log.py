"""A line of the log for each job that ends, and for each attempt that does not end its job."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quote
from typing import Any

import structlog

from inferq.errors import ErrorKind, InvalidInputError, ModelError
from inferq.jobs import ClaimedJob, Job, Outcome, Status
from inferq.observability.logs import is_level_logged, writes_json
from inferq.provenance import Provenance
from inferq.settings import Settings

_ENDED = ("completed", "late", "failed")
"""Verdicts with which the job has ended."""
_QUOTING = (InvalidInputError, ModelError)
"""Errors whose words may quote the job's data: these are read in the job alone."""
_QUOTING_KINDS = tuple(error.kind for error in _QUOTING)
_BY_CLIENTS = (ErrorKind.INVALID_INPUT, ErrorKind.CANCELLED)
"""Failures that clients have caused: no warnings."""

log = structlog.get_logger()


class JobLog:
    """Logs how attempts ended: failures as warnings, all others at the level that a setting chooses.

    A failure that its client has caused, `invalid-input` or `cancelled`, is no warning but `info`. As JSON,
    the lines of attempts that went well are written together, without structlog: 1 µs each instead of 10.

    Args:
        settings: Form and levels of the log.
    """

    def __init__(self, settings: Settings) -> None:
        level = settings.job_log_level
        self._level = level if level != "off" and is_level_logged(level, settings) else ""
        self._writes_json = writes_json(settings)

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Does nothing."""

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """Does nothing."""

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Logs how attempts ended; see `JobObserver`."""
        now = datetime.now(UTC)
        ends = list(zip(outcomes, verdicts, strict=True))
        good = [end for end in ends if end[0].error is None]
        if len(good) < len(ends):
            for outcome, verdict in ends:
                if outcome.error is not None:
                    self._log(_choose_level(outcome.error.kind), outcome, verdict, now)
        if self._level and self._writes_json and good:
            structlog.get_config()["logger_factory"]().msg("\n".join(self._format(good, now)))
        elif self._level:
            for outcome, verdict in good:
                self._log(self._level, outcome, verdict, now)

    def note_ended(self, jobs: Sequence[Job]) -> None:
        """Logs the ends of jobs that no worker reports, since no run of it has ended them.

        The lines have what those of other ends have, without what tells of the run.

        Args:
            jobs: The jobs as they have ended.
        """
        for job in jobs:
            is_failed = job.status is Status.FAILED
            level = _choose_level(job.error_kind) if is_failed else self._level
            if level:
                getattr(log, level)("job_ended", **_describe_end(job))

    def _log(self, level: str, outcome: Outcome, verdict: str, now: datetime) -> None:
        job, error = outcome.job, outcome.error
        details = {
            "job_id": job.id,
            **_describe_run(outcome, verdict),
            "waited_seconds": _measure_wait(outcome, now),
            "request_id": job.request_id or None,
        }
        if error is not None:
            details["error_kind"] = error.kind
            if not isinstance(error, _QUOTING):
                details["error"] = error.message
        getattr(log, level)(_name_event(verdict), **details)

    def _format(self, ended: Sequence[tuple[Outcome, str]], now: datetime) -> list[str]:
        """Returns the lines that `_log` would write of attempts without an error."""
        lines = []
        latest: tuple[object, ...] = ()
        for outcome, verdict in ended:
            job = outcome.job
            made_by = outcome.made_by or job.claimed_for
            shared = (job.model, made_by, job.attempt, outcome.run_seconds, outcome.batch_jobs, verdict)
            if shared != latest:  # so much is the same in the lines of all jobs of a run
                latest = shared
                about = {"event": _name_event(verdict), "level": self._level, "timestamp": _format_time(now)}
                middle = f', {json.dumps(_describe_run(outcome, verdict))[1:-1]}, "waited_seconds": '
                tail = f", {json.dumps(about)[1:]}"
                seconds = outcome.run_seconds
            waited = (
                "null"
                if job.submitted_at is None
                else f"{(now - job.submitted_at).total_seconds() - seconds:.3f}"
            )
            request_id = quote(job.request_id) if job.request_id else "null"
            lines.append(f'{{"job_id": {quote(job.id)}{middle}{waited}, "request_id": {request_id}{tail}')
        return lines


def _describe_run(outcome: Outcome, verdict: str) -> dict[str, Any]:
    made_by = outcome.made_by or outcome.job.claimed_for
    return {
        "model": outcome.job.model,
        "version": Provenance.parse(made_by).version or None,
        "attempt": outcome.job.attempt,
        "ran_seconds": round(outcome.run_seconds, 6),
        "batch_jobs": outcome.batch_jobs,
        "outcome": verdict,
    }


def _choose_level(kind: ErrorKind | None) -> str:
    return "info" if kind in _BY_CLIENTS else "warning"


def _describe_end(job: Job) -> dict[str, Any]:
    details: dict[str, Any] = {"job_id": job.id, "model": job.model}
    if job.attempts:
        details |= {"version": job.model_version, "attempt": job.attempts}
    details |= {
        "outcome": job.status.value,
        "waited_seconds": _measure_wait_of_ended(job),
        "request_id": job.request_id or None,
    }
    if job.status is Status.FAILED:
        details["error_kind"] = job.error_kind.value if job.error_kind else "outside"
        if job.error and job.error_kind not in _QUOTING_KINDS:
            details["error"] = job.error
    return details


def _measure_wait_of_ended(job: Job) -> float | None:
    """Returns the seconds from a job's submission to its end, without those since a worker has taken it."""
    if job.submitted_at is None or job.finished_at is None:
        return None
    waited_until = job.finished_at
    latest = job.history[-1] if job.history else None
    if latest and latest.started_at and latest.finished_at == job.finished_at:
        waited_until = latest.started_at
    return round((waited_until - job.submitted_at).total_seconds(), 3)


def _measure_wait(outcome: Outcome, now: datetime) -> float | None:
    """Returns the seconds from a job's submission to its end, without those of the run."""
    submitted_at = outcome.job.submitted_at
    if submitted_at is None:
        return None
    return round((now - submitted_at).total_seconds() - outcome.run_seconds, 3)


def _format_time(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _name_event(verdict: str) -> str:
    return "job_ended" if verdict in _ENDED else "attempt_ended"
