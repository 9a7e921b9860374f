"""The schemas of one job, its request and its view, for OpenAPI."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict, JsonValue

from inferq.errors import ErrorKind
from inferq.jobs import Priority, Status, WebhookStatus

EXAMPLE_JOB_ID = "3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071"
_COMPLETED: JsonDict = {
    "job_id": EXAMPLE_JOB_ID,
    "status": "completed",
    "result": {"prediction": 0, "class_name": "setosa", "probabilities": [0.984, 0.016, 0.0]},
    "error": None,
    "error_kind": None,
    "model": "iris",
    "model_version": "9f2c51d07a34",
    "made_by": {
        "version": "9f2c51d07a34",
        "digest": "9f2c51d07a34",
        "runtime": "onnxruntime-1.32.0",
        "provider": "CPUExecutionProvider",
    },
    "priority": "normal",
    "submitted_at": "2026-01-31T12:00:00.000Z",
    "started_at": "2026-01-31T12:00:00.002Z",
    "finished_at": "2026-01-31T12:00:00.004Z",
    "attempts": 1,
    "queue_position": None,
    "expected_start_at": None,
    "expected_end_at": None,
    "history": [
        {
            "attempt": 1,
            "started_at": "2026-01-31T12:00:00.002Z",
            "finished_at": "2026-01-31T12:00:00.004Z",
            "worker": "host-1-4f2a",
            "error_kind": None,
            "error": None,
        }
    ],
    "webhook": {
        "url": "https://example.com/inferq",
        "status": "delivered",
        "attempts": 1,
        "last_attempt_at": "2026-01-31T12:00:00.950Z",
        "error": None,
    },
    "request_id": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_PENDING: JsonDict = _COMPLETED | {
    "status": "pending",
    "result": None,
    "model_version": None,
    "made_by": None,
    "started_at": None,
    "finished_at": None,
    "attempts": 0,
    "queue_position": 3,
    "expected_start_at": "2026-01-31T12:00:01.250Z",
    "expected_end_at": "2026-01-31T12:00:01.730Z",
    "history": [],
    "webhook": {
        "url": "https://example.com/inferq",
        "status": "waiting",
        "attempts": 0,
        "last_attempt_at": None,
        "error": None,
    },
}
_FAILED: JsonDict = _COMPLETED | {
    "status": "failed",
    "result": None,
    "error": "The model 'iris' failed: in MatMul: dimensions do not match. (after 3 attempts)",
    "error_kind": "model-error",
    "attempts": 3,
    "history": [
        {
            "attempt": number,
            "started_at": f"2026-01-31T12:00:0{second}.002Z",
            "finished_at": f"2026-01-31T12:00:0{second}.004Z",
            "worker": "host-1-4f2a",
            "error_kind": "model-error",
            "error": "The model 'iris' failed: in MatMul: dimensions do not match.",
        }
        for number, second in enumerate((0, 1, 3), 1)
    ],
    "webhook": None,
}
EXAMPLE_JOBS: list[JsonValue] = [_PENDING, _COMPLETED, _FAILED]


class PredictRequest(BaseModel):
    """A prediction request."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"data": [[5.1, 3.5, 1.4, 0.2]]},
                {"data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], "model": "iris", "timeout": 30},
                {
                    "data": [[5.1, 3.5, 1.4, 0.2]],
                    "priority": "high",
                    "webhook": "https://example.com/inferq",
                },
            ]
        },
    )

    data: list[Any] | dict[str, Any] = Field(
        description="Nested arrays for a model with one input, rows first; or an object of named inputs."
    )
    model: str | None = Field(None, description="Name of the model; the default model if left out.")
    timeout: float | None = Field(
        None,
        gt=0,
        description="Longest run, s, at most INFERQ_MAX_RUN_TIMEOUT_SECONDS; the model's own if left out.",
    )
    priority: Literal["high", "normal", "low"] | None = (
        Field(  # no reference: it is shown outside of components
            None, description="Jobs of a higher priority are taken first; normal if left out."
        )
    )
    webhook: str | None = Field(
        None,
        max_length=2048,
        pattern="^https?://",
        description="Where the job's end is reported by a signed POST: an http or https URL, public. "
        "Refused where INFERQ_WEBHOOK_SECRET is not set.",
    )
    expires_in: float | None = Field(
        None,
        gt=0,
        description="How long the job may wait for its turn, s, at most INFERQ_JOB_TTL_SECONDS: what has not "
        "started by then fails as expired. Refused at once where it plainly cannot start by then.",
    )
    output: str | None = Field(
        None,
        pattern="^s3://.+/$",
        description="Folder in a bucket to which a worker writes the result, as s3://bucket/results/: one of "
        "INFERQ_OUTPUT_ALLOWED_BUCKETS. The job's result then says where it is.",
    )


class Submitted(BaseModel):
    """A job was accepted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_id": EXAMPLE_JOB_ID}]})

    job_id: str = Field(description="The ticket: ask for the result at /job/{job_id}.")


class AttemptView(BaseModel):
    """One time that the job was handed to a worker."""

    attempt: int = Field(description="1 for the first.")
    started_at: datetime | None
    finished_at: datetime | None
    worker: str
    error_kind: ErrorKind | None = Field(description="Why it failed; null while it runs and if it succeeded.")
    error: str | None = Field(description="The same for a person.")


class ProvenanceView(BaseModel):
    """What a job ran with."""

    version: str = Field(description="Version of the model.")
    digest: str | None = Field(
        description="First 12 hex digits of the SHA-256 over its ONNX file and external data."
    )
    runtime: str | None = Field(description="What ran it, with its version.")
    provider: str | None = Field(description="ONNX Runtime's name of the execution provider.")


class WebhookView(BaseModel):
    """Where the job's end is reported, and how that went."""

    url: str
    status: WebhookStatus = Field(
        description="waiting: the job has not ended; pending: it is to be delivered, or tried again."
    )
    attempts: int = Field(description="How often it was tried.")
    last_attempt_at: datetime | None
    error: str | None = Field(description="How the last try failed.")


class ProgressView(BaseModel):
    """How far a large job is."""

    done: int = Field(description="How many of its rows are done.")
    rows: int = Field(description="How many it has.")


class JobView(BaseModel):
    """A job."""

    model_config = ConfigDict(json_schema_extra={"examples": [_COMPLETED, _PENDING, _FAILED]})

    job_id: str
    status: Status
    result: Any = Field(
        description="Once completed. Of a classifier and one row: prediction, class_name, probabilities; of "
        "n rows the same three, each a list of n. Of any other model: outputs, an object of named arrays."
    )
    error: str | None = Field(description="What went wrong, once failed.")
    error_kind: ErrorKind | None = Field(
        description="The same for programs; null also for jobs that a program other than inferq ended."
    )
    model: str | None = Field(description="Null if a job from outside has not been taken by a worker yet.")
    model_version: str | None = Field(
        description="Version of the model that the latest attempt ran with; null before the first."
    )
    made_by: ProvenanceView | None = Field(
        description="What the latest attempt ran with, so what made the result; null before the first, and "
        "of a job that a program other than inferq ran. A part that is not known is null."
    )
    priority: Priority
    submitted_at: datetime | None
    started_at: datetime | None = Field(description="When the latest attempt began.")
    finished_at: datetime | None
    attempts: int = Field(description="How often the job has been handed to a worker.")
    queue_position: int | None = Field(description="While pending: 1 for the next job to be taken.")
    expected_start_at: datetime | None = Field(
        description="While pending: when a worker will probably take it, from what recent runs have cost, "
        "what is before it and how many workers live; null where that cannot be told."
    )
    expected_end_at: datetime | None = Field(
        description="While pending or processing: when it will probably have ended; null likewise."
    )
    history: list[AttemptView] = Field(description="The attempts, the latest last.")
    webhook: WebhookView | None = Field(description="Null if the request had none.")
    request_id: str | None = Field(
        description="X-Request-ID of the request that submitted it; null for a job from outside."
    )
    first_submitted_at: datetime | None = Field(
        None,
        description="When it was submitted, if it was retried by order since, which is then `submitted_at`. "
        "Absent from all other jobs.",
    )
    output: str | None = Field(
        None, description="Folder to which its result is written. Absent where the request named none."
    )
    progress: ProgressView | None = Field(
        None, description="How far it is, of a large job that runs in parts. Absent from all other jobs."
    )
