"""The vocabulary of inferq: what a job is, and which states it has. What can go wrong is in `errors.py`.

Read this page first. Everything else in the package speaks in these words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from inferq.errors import ErrorKind, InferqError
from inferq.provenance import Provenance

IDEMPOTENCY_KEY = "[!-~]{1,255}"
"""What an `Idempotency-Key` may be, as a regular expression: visible ASCII."""

REQUEST_ID = "[A-Za-z0-9._:/+=@-]{1,128}"
"""What an `X-Request-ID` may be, as a regular expression."""

LONG_RUN_SECONDS = 10.0
"""A worker in a longer run is not let go of: it might not finish it when it is told to stop. Also the time
constant of `jobs_per_second`, which tells nothing of jobs that end more rarely."""


class Status(StrEnum):
    """The public state of a job, as `job:{id}:status` and the HTTP API show it. There is no fifth."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether a job in this state has ended and will never change again."""
        return self in (Status.COMPLETED, Status.FAILED)


class Priority(StrEnum):
    """Which of a model's three lists a job waits in."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class WebhookStatus(StrEnum):
    """How far the report of a job's end to its webhook is."""

    WAITING = "waiting"
    """The job has not ended."""
    PENDING = "pending"
    """It is to be delivered, or to be tried again."""
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"


class Attempt(NamedTuple):
    """One time that a job was handed to a worker.

    Attributes:
        number: 1 for the first.
        started_at: When the worker got it, UTC.
        finished_at: When the attempt ended; None while it runs.
        worker: Id of the worker.
        kind: Why it failed; None while it runs and if it succeeded.
        reason: The same for a person.
    """

    number: int
    started_at: datetime | None
    finished_at: datetime | None
    worker: str
    kind: ErrorKind | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the end of a job is reported, and how that went.

    Attributes:
        url: Where to.
        status: How far it is.
        attempts: How often it was tried.
        last_attempt_at: When it was tried last, UTC.
        error: How the last try failed, for a person; None if it has not.
    """

    url: str
    status: WebhookStatus = WebhookStatus.WAITING
    attempts: int = 0
    last_attempt_at: datetime | None = None
    error: str | None = None


class Progress(NamedTuple):
    """How far a large job is that runs as chunks.

    Attributes:
        done: How many of its rows are done.
        rows: How many it has.
        left_chunks: How many of its chunks are not done.
        left_seconds: How long one worker would take for these; 0 where no run has shown it.
    """

    done: int
    rows: int
    left_chunks: int = 0
    left_seconds: float = 0.0


class LargeResult(NamedTuple):
    """A result that is too large to be read with its job; see `queue.inspection.large_results`.

    Attributes:
        length: Its length, bytes.
        end: What tells its end from another end of the same job.
        blob: The reference to it, where it is in the blob store; empty: it is in Redis.
    """

    length: int
    end: bytes
    blob: bytes = b""


class Job(NamedTuple):
    """A job as the queue knows it.

    Attributes:
        id: The ticket: 128 random bits in hex; of a job from outside, whatever its producer chose.
        status: The public state.
        result: Exactly what the worker wrote, JSON or an envelope of tensors; present once completed, unless
            it is large.
        error: What went wrong, for a person; present once failed.
        error_kind: The same for programs; None for jobs that an outside worker ended.
        model: Model name; None where nothing in Redis tells it.
        attempts: How often the job has been handed to a worker.
        submitted_at: When it was accepted, by the server's clock, UTC.
        started_at: When its latest attempt began.
        finished_at: When it ended.
        queue_position: 1 for the next job to be taken; only while pending.
        history: The attempts in order, the latest last.
        owner: Name of the API key it was submitted with; empty if there was none.
        priority: Which list it waits in.
        webhook: Where its end is reported; None for nowhere.
        made_by: What the latest attempt ran with; None before the first.
        large_result: What stands for a large result, which is still to be read; None for any other.
        is_form_known: Whether the result is known to be JSON, or an envelope of tensors, as a worker of
            inferq stored it. What a worker from outside stored may be anything.
        request_id: Of the request that submitted it; empty if it had none.
        traceparent: Its trace context, as W3C Trace Context writes it; empty if it has none.
        expected_start_at: When it will probably be taken; only while pending, None where that cannot be told.
        expected_end_at: When it will probably have ended; only while pending or processing, likewise.
        first_submitted_at: When it was accepted, if it was retried by order since; else None.
        progress: How far it is, of a large job that runs as chunks; else None.
        output: Folder in a bucket to which its result is written; empty: nowhere.
    """

    id: str
    status: Status
    result: bytes | None = None
    error: str | None = None
    error_kind: ErrorKind | None = None
    model: str | None = None
    attempts: int = 0
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queue_position: int | None = None
    history: tuple[Attempt, ...] = ()
    owner: str = ""
    priority: Priority = Priority.NORMAL
    webhook: Webhook | None = None
    made_by: Provenance | None = None
    large_result: LargeResult | None = None
    is_form_known: bool = False
    request_id: str = ""
    traceparent: str = ""
    expected_start_at: datetime | None = None
    expected_end_at: datetime | None = None
    first_submitted_at: datetime | None = None
    progress: Progress | None = None
    output: str = ""

    @property
    def result_bytes(self) -> int:
        """How long the result is, read or not."""
        return self.large_result.length if self.large_result else len(self.result or b"")

    @property
    def model_version(self) -> str | None:
        """Version of the model that the latest attempt ran with; None before the first."""
        return self.made_by.version if self.made_by else None

    def is_readable_by(self, owner: str | None) -> bool:
        """Whether a key of this name may read the job; None stands for a service without keys."""
        return owner is None or self.owner in ("", owner)


class ClaimedJob(NamedTuple):
    """A job leased to this worker.

    Attributes:
        id: Job id.
        model: Model to run.
        data: What the request has as `data`, in the form in which it came; a view of it, where it is mapped.
        attempt: 1 for the first.
        token: The lease's fencing token: a worker with another one can no longer fail or renew the job.
        submitted_at: When it was accepted, UTC; when it was first seen, if another program pushed it.
        request_id: Of the request that submitted it; empty if it had none.
        traceparent: Its trace context, as W3C Trace Context writes it; empty if it has none.
        timeout_seconds: Longest run that its request asked for; None for the model's own.
        blob_key: Where its data is in the blob store; empty: nowhere.
        claimed_for: The `Provenance` that its record shows since the claim, as text; empty: none.
        shard: Number of the shard that it is in.
        output: Folder in a bucket to which its result is to be written; empty: nowhere.
        runs_alone: Whether it runs with no other job, since a worker died with it. Such as only wait for
            files may be held meanwhile.
    """

    id: str
    model: str
    data: bytes | memoryview
    attempt: int
    token: str
    submitted_at: datetime | None = None
    request_id: str = ""
    traceparent: str = ""
    timeout_seconds: float | None = None
    blob_key: str = ""
    claimed_for: str = ""
    shard: int = 0
    output: str = ""
    runs_alone: bool = False

    def __hash__(self) -> int:
        """Hashes what tells it from all others, not its data, which may be long."""
        return hash((self.id, self.token))


class Outcome(NamedTuple):
    """How one attempt ended: with a result, or with an error.

    Attributes:
        job: The claimed job.
        result: JSON or an envelope of raw tensors, if the run succeeded.
        error: What went wrong, if it failed.
        run_seconds: How long the run took, the whole of it if other jobs shared it; 0.0 if the job never ran.
        batch_jobs: How many jobs shared that run, this one included; 0 if it never ran.
        is_first_of_run: Whether it is the one by which that run is counted.
        offloaded_at: Monotonic time at which the result was put into the blob store, so that `result` is the
            reference to it; None if it was not.
        made_by: What it ran with, as the text of a `Provenance`; empty: what its claim has said.
    """

    job: ClaimedJob
    result: bytes | None = None
    error: InferqError | None = None
    run_seconds: float = 0.0
    batch_jobs: int = 0
    is_first_of_run: bool = False
    offloaded_at: float | None = None
    made_by: str = ""


class Pace(NamedTuple):
    """What one worker's claims of a model have cost it: `fixed_seconds + job_seconds * jobs` each.

    Attributes:
        fixed_seconds: Seconds of any claim.
        job_seconds: Seconds for each of its jobs, if these are of mean size.
        most_jobs: How many jobs one claim takes where as many wait.
        byte_seconds: Seconds for each byte that a job's data has more.
        job_bytes: That mean size: bytes of data.
    """

    fixed_seconds: float
    job_seconds: float
    most_jobs: int
    byte_seconds: float = 0.0
    job_bytes: float = 0.0

    def estimate_seconds(self, jobs: float, first_bytes: float | None = None) -> float:
        """Returns how long the worker takes for a claim.

        Args:
            jobs: How many jobs it has.
            first_bytes: Bytes of data of one of them, if that is known.
        """
        seconds = self.fixed_seconds + self.job_seconds * jobs
        if first_bytes is None:
            return seconds
        return max(0.0, seconds + self.byte_seconds * (first_bytes - self.job_bytes))


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process as its heartbeat describes it.

    Attributes:
        id: Worker id: host, pid and a random part.
        host: Host name.
        pid: Process id on that host.
        models: Names of the models it serves.
        started_at: When it started, UTC.
        seen_at: When its last heartbeat reached the server, UTC.
        jobs_done: Attempts it has finished.
        left_out: Name to reason of the models that it cannot serve.
        model_versions: Name to version of the models that it serves; empty if it does not tell.
        inferq_version: Version of inferq that it runs; empty if it does not tell.
        forms: Forms of data that it reads, by their media types; none if it knows JSON alone.
        sent_at: When it sent its last heartbeat, by its own machine's clock, UTC; None if it does not tell.
        open_circuits: Receivers of webhooks that it does not call for a while, since they did not answer.
        paces: Name to pace of the models of which it has run jobs.
        blob_store: Id of the blob store that it can read and write; empty if there is none.
        repository_generation: The generation (see `Consumer.heartbeat`) as of which it has read the model
            repository; None if it does not tell, since it reads that once.
    """

    id: str
    host: str
    pid: int
    models: tuple[str, ...]
    started_at: datetime
    seen_at: datetime | None = None
    jobs_done: int = field(default=0)
    left_out: Mapping[str, str] = field(default_factory=dict)
    model_versions: Mapping[str, str] = field(default_factory=dict)
    inferq_version: str = ""
    forms: tuple[str, ...] = ()
    sent_at: datetime | None = None
    open_circuits: int = 0
    paces: Mapping[str, Pace] = field(default_factory=dict)
    blob_store: str = ""
    repository_generation: int | None = None
