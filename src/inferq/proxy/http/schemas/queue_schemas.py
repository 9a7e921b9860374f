"""The shapes of requests and answers about many jobs, and of the queues, as OpenAPI shows them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from inferq.proxy.http.bodies.batch_body import MOST_JOBS
from inferq.proxy.http.partial_answer import PartialAnswer
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID, EXAMPLE_JOBS, JobView, PredictRequest

_OTHER_JOB_ID = "b9d1f0c27a6e4d3c9a58e7f60b1c2d34"


def _drop_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of one prediction request, to stand within another without a reference."""
    return {name: value for name, value in schema.items() if name not in ("title", "examples")}


class BatchRequest(BaseModel):
    """Many prediction requests."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "jobs": [
                        {"data": [[5.1, 3.5, 1.4, 0.2]]},
                        {"data": [[6.3, 3.3, 6.0, 2.5]], "priority": "low"},
                    ]
                }
            ]
        },
    )

    # no reference: it is shown outside of components
    jobs: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MOST_JOBS,
        description="Each like a body of POST /predict.",
        json_schema_extra={"items": _drop_titles(PredictRequest.model_json_schema())},
    )


class SubmittedBatch(BaseModel):
    """All jobs were accepted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_ids": [EXAMPLE_JOB_ID, _OTHER_JOB_ID]}]})

    job_ids: list[str] = Field(description="A ticket for each job, in order.")


class StatusRequest(BaseModel):
    """Ids of jobs."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"job_ids": [EXAMPLE_JOB_ID, _OTHER_JOB_ID]}]}
    )

    job_ids: list[str] = Field(min_length=1, max_length=MOST_JOBS)


class JobStatuses(BaseModel):
    """Jobs, in the order asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"jobs": [EXAMPLE_JOBS[0], None]}]})

    jobs: list[JobView | None] = Field(description="Null where there is no such job, or it is left out.")
    left_out: list[str] = Field(
        default=[],
        description="Ids of jobs that are to be asked for again: the results of those before them are longer "
        "than 64 MiB. Absent where there are none.",
    )


class JobList(PartialAnswer):
    """A page of jobs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"jobs": EXAMPLE_JOBS, "next": "3q2-7w8Sd0lGk1h2bQp9vXo1"},
                {"jobs": EXAMPLE_JOBS[-1:], "next": None},
            ]
        }
    )

    jobs: list[JobView]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.")


class ErrorGroupView(BaseModel):
    """Failed jobs of a model with the same error, but for ids and numbers in it."""

    error_kind: str | None = Field(description="Null where a program other than inferq ended them.")
    error: str = Field(description="With `…` in place of each id and number; at most 500 characters.")
    model: str
    count: int
    latest_at: datetime | None = Field(description="When the latest of them failed.")
    example_job_id: str = Field(description="That job.")


class ErrorGroupList(PartialAnswer):
    """Failed jobs by what went wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "groups": [
                        {
                            "error_kind": "timed-out",
                            "error": "The run took longer than … s.",
                            "model": "iris",
                            "count": 12,
                            "latest_at": "2026-01-31T12:00:00.000Z",
                            "example_job_id": EXAMPLE_JOB_ID,
                        }
                    ],
                    "is_complete": True,
                }
            ]
        }
    )

    groups: list[ErrorGroupView] = Field(description="At most 100, that with the most jobs first.")
    is_complete: bool = Field(
        description="False where there are more groups, or more failed jobs than the 10,000 that were read."
    )


class ActionResult(PartialAnswer):
    """What one call of an action has done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"matched": 12, "changed": 0, "skipped": 0, "skipped_by_kind": {}, "cursor": None},
                {
                    "matched": 1012,
                    "changed": 1009,
                    "skipped": 3,
                    "skipped_by_kind": {"job-state": 3},
                    "cursor": "3q2-7w8Sd0lGk1h2bQp9vXo1",
                },
            ]
        }
    )

    matched: int = Field(description="How many jobs the filter has found that the action is for.")
    changed: int = Field(description="With how many it was done; 0 where they were only counted.")
    skipped: int = Field(description="With how many it could not be done.")
    skipped_by_kind: dict[str, int] = Field(
        description="The same by why: job-state (the job has changed since, or its data is gone), "
        "job-not-found (it has expired), queue-full."
    )
    cursor: str | None = Field(description="To be sent with the next call, which goes on; null at the end.")


class CancelledJobs(PartialAnswer):
    """Jobs that waited were cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cancelled": 17}]})

    cancelled: int = Field(description="How many have been ended by this request.")


_NUMBERS: JsonDict = {
    "waiting": {"high": 0, "normal": 3, "low": 0},
    "running": 1,
    "retrying": 0,
    "failed": 2,
    "oldest_wait_seconds": 1.2,
    "jobs_per_second": 12.3,
    "workers": 1,
    "backlog_seconds": 0.24,
    "needed_workers": 2,
}


class WaitingView(BaseModel):
    """Jobs that wait in the queue, by priority."""

    high: int
    normal: int
    low: int


class QueueNumbersView(PartialAnswer):
    """One model's queue."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NUMBERS]})

    waiting: WaitingView
    running: int
    retrying: int = Field(description="Jobs that wait for another try.")
    failed: int = Field(description="Failed jobs that can still be read.")
    oldest_wait_seconds: float | None = Field(
        description="How long the longest waiting job has waited; null where none waits."
    )
    jobs_per_second: float = Field(description="How many have ended of late: a mean over about 10 s.")
    workers: int = Field(description="Live workers that serve the model.")
    backlog_seconds: float | None = Field(
        description="In how many seconds the present workers will have taken all that waits; null where no "
        "worker serves the model, or none has run it yet."
    )
    needed_workers: int | None = Field(
        description="How many workers it takes that jobs wait no longer than target_wait_seconds; null "
        "without it."
    )


class WorkerView(BaseModel):
    """A live worker."""

    id: str
    host: str
    pid: int
    models: list[str]
    started_at: datetime
    seen_at: datetime | None = Field(description="Its last report.")
    jobs_done: int


class QueueMinuteView(BaseModel):
    """What happened to the jobs of a model in one minute."""

    at: datetime = Field(description="When the minute began.")
    submitted: int
    completed: int
    failed: int
    run_seconds: float = Field(description="Seconds that jobs ran, of those attempts that ended.")
    waiting: int = Field(description="The most jobs that were seen to wait.")


class QueueHistory(PartialAnswer):
    """The last minutes of a model's queue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "minutes": [
                        {
                            "at": "2026-01-31T11:59:00.000Z",
                            "submitted": 60,
                            "completed": 57,
                            "failed": 1,
                            "run_seconds": 0.25,
                            "waiting": 12,
                        }
                    ]
                }
            ]
        }
    )

    minutes: list[QueueMinuteView] = Field(description="The oldest first; the last one is under way.")


class QueueView(PartialAnswer):
    """How the queues are, and who serves them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": {"iris": _NUMBERS},
                    "workers": [
                        {
                            "id": "host-1-4f2a",
                            "host": "host",
                            "pid": 1,
                            "models": ["iris"],
                            "started_at": "2026-01-31T11:58:00.000Z",
                            "seen_at": "2026-01-31T12:00:00.000Z",
                            "jobs_done": 1432,
                        }
                    ],
                    "webhooks_waiting": 0,
                    "queued_bytes": 108,
                    "max_queued_bytes": 8589934592,
                }
            ]
        }
    )

    models: dict[str, QueueNumbersView] = Field(
        description="By name, those that workers have announced, and others of which jobs are kept."
    )
    workers: list[WorkerView]
    webhooks_waiting: int = Field(description="Ended jobs whose end is still to be reported.")
    queued_bytes: int = Field(description="Bytes of data that the jobs have that have not ended.")
    max_queued_bytes: int | None = Field(
        description="What that may be (INFERQ_MAX_QUEUED_BYTES); null where there is no limit."
    )
