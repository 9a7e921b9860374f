"""Every metric of inferq: its name, its type, its labels, and what it says.

Names are in base units (seconds, bytes) and counters end in `_total`. No label takes a value that a client
can choose: models are those of workers, keys those of a setting, routes those of the application.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """What a metric is.

    Attributes:
        name: Full name; a histogram's without `_bucket`, `_count` and `_sum`.
        kind: Its type.
        labels: Names of its labels.
        description: What it says, in a sentence.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    description: str


class BucketCounts(Protocol):
    """What a histogram has counted.

    Attributes:
        bounds: Upper bounds of its buckets, each included, ascending; one more bucket has no bound.
        counts: Number of values in each bucket alone; one more than bounds.
        total: Sum of all values.
    """

    @property
    def bounds(self) -> Sequence[float]: ...  # noqa: D102 - an attribute, described above
    @property
    def counts(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def total(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a metric at this moment.

    Attributes:
        metric: The metric.
        labels: Values of its labels.
        value: A number, or what a histogram has counted.
    """

    metric: MetricDefinition
    labels: tuple[str, ...]
    value: float | BucketCounts


BUILD_INFO = MetricDefinition("inferq_build_info", "gauge", ("version",), "The version of inferq; always 1.")

HTTP_DURATION = MetricDefinition(
    "http_server_request_duration_seconds",
    "histogram",
    ("http_request_method", "http_route", "http_response_status_code"),
    "How long requests took, from the head to the answer's end, with the waiting that clients asked for.",
)

REDIS_UP = MetricDefinition("inferq_redis_up", "gauge", (), "Whether Redis answered this scrape: 1 or 0.")
REDIS_MEMORY = MetricDefinition(
    "inferq_redis_memory_bytes", "gauge", (), "Memory that the Redis server uses for its data."
)
REDIS_MEMORY_LIMIT = MetricDefinition(
    "inferq_redis_memory_limit_bytes", "gauge", (), "The server's maxmemory; absent where it has none."
)

_OF_MODEL = ("model",)
JOBS_SUBMITTED = MetricDefinition(
    "inferq_jobs_submitted_total",
    "counter",
    ("model", "priority"),
    "Jobs that were accepted; those from outside count when a worker first sees them.",
)
JOBS_ENDED = MetricDefinition(
    "inferq_jobs_ended_total",
    "counter",
    ("model", "outcome", "error_kind"),
    "Jobs that have ended: completed, failed as error_kind says, or lost by the deletion of their record.",
)
JOBS = MetricDefinition(
    "inferq_jobs",
    "gauge",
    ("model", "state", "priority"),
    "Jobs that have not ended: waiting (by priority), running, or retrying.",
)
OLDEST_WAIT = MetricDefinition(
    "inferq_oldest_wait_seconds",
    "gauge",
    _OF_MODEL,
    "How long the job has waited that waits longest; 0 where none waits.",
)
WAIT = MetricDefinition(
    "inferq_wait_seconds", "histogram", _OF_MODEL, "From a job's submission to its first start, as it ends."
)
RUN = MetricDefinition(
    "inferq_run_seconds", "histogram", _OF_MODEL, "How long runs took; one that jobs shared is one."
)
TOTAL = MetricDefinition(
    "inferq_total_seconds", "histogram", _OF_MODEL, "From a job's submission to its end."
)
BATCH = MetricDefinition("inferq_batch_jobs", "histogram", _OF_MODEL, "How many jobs shared a run.")
MODEL_RUN_SECONDS = MetricDefinition(
    "inferq_model_run_seconds_total",
    "counter",
    ("model", "key"),
    "Seconds that workers ran jobs, by the name of their API key; a run is shared out over its batch.",
)
WORKERS = MetricDefinition("inferq_workers", "gauge", _OF_MODEL, "Live workers that serve the model.")
QUEUE_BYTES = MetricDefinition("inferq_queue_bytes", "gauge", (), "Data of all jobs that have not ended.")
QUEUE_BYTES_LIMIT = MetricDefinition(
    "inferq_queue_limit_bytes", "gauge", (), "How much that may be; absent where there is no limit."
)
BLOBS = MetricDefinition(
    "inferq_blob_files", "gauge", (), "Blobs that the latest sweep has met; absent without a blob store."
)
BLOB_BYTES = MetricDefinition("inferq_blob_bytes", "gauge", (), "How many bytes these have.")
BLOB_FREE_BYTES = MetricDefinition(
    "inferq_blob_free_bytes", "gauge", (), "Free space of the blob store's disk; absent without a store."
)
DEAD_LETTERS = MetricDefinition(
    "inferq_dead_letters", "gauge", _OF_MODEL, "Failed jobs that can still be read and retried."
)
RETRIES = MetricDefinition(
    "inferq_retries_total", "counter", _OF_MODEL, "Attempts that failed and were followed by another."
)
USER_RETRIES = MetricDefinition(
    "inferq_user_retries_total", "counter", _OF_MODEL, "Failed jobs that were queued again by order."
)
LEASES_LAPSED = MetricDefinition(
    "inferq_leases_lapsed_total", "counter", _OF_MODEL, "Leases that a worker did not renew in time."
)
RECOVERED = MetricDefinition(
    "inferq_jobs_recovered_total", "counter", _OF_MODEL, "Jobs that recovery has queued again."
)
LATE_FINISHES = MetricDefinition(
    "inferq_late_finishes_total",
    "counter",
    _OF_MODEL,
    "Results that counted though the worker's lease had passed on.",
)
STALE_FINISHES = MetricDefinition(
    "inferq_stale_finishes_total",
    "counter",
    _OF_MODEL,
    "Ends that changed nothing, since the job had ended or was another worker's.",
)
WEBHOOKS = MetricDefinition("inferq_webhooks", "gauge", ("state",), "Webhooks that are pending.")
WEBHOOKS_ENDED = MetricDefinition(
    "inferq_webhooks_ended_total", "counter", ("state",), "Webhooks that were delivered or given up."
)
CIRCUIT_BREAKERS = MetricDefinition(
    "inferq_circuit_breakers_open",
    "gauge",
    (),
    "Receivers that rest since they did not answer, over all workers.",
)

WORKER_RUN = MetricDefinition(
    "inferq_worker_run_seconds",
    "histogram",
    ("model",),
    "How long runs of this process took, failed ones too.",
)
WORKER_BATCH = MetricDefinition(
    "inferq_worker_batch_jobs", "histogram", ("model",), "How many jobs shared each run of this process."
)
WORKER_ROWS = MetricDefinition(
    "inferq_worker_rows_total", "counter", ("model",), "Rows that this process has run."
)
WORKER_ATTEMPTS = MetricDefinition(
    "inferq_worker_attempts_total",
    "counter",
    ("model", "verdict"),
    "Attempts of this process whose end is stored: completed, failed, retrying, late or stale.",
)
WORKER_JOBS_HELD = MetricDefinition(
    "inferq_worker_jobs_held", "gauge", (), "Jobs that are leased to this process."
)

SERVICE_METRICS = (
    *(REDIS_UP, REDIS_MEMORY, REDIS_MEMORY_LIMIT, QUEUE_BYTES, QUEUE_BYTES_LIMIT),
    *(BLOBS, BLOB_BYTES, BLOB_FREE_BYTES),
    *(JOBS_SUBMITTED, JOBS_ENDED, JOBS, DEAD_LETTERS, USER_RETRIES),
    *(OLDEST_WAIT, WAIT, RUN, TOTAL, BATCH, MODEL_RUN_SECONDS, WORKERS),
    *(RETRIES, LEASES_LAPSED, RECOVERED, LATE_FINISHES, STALE_FINISHES),
    *(WEBHOOKS, WEBHOOKS_ENDED, CIRCUIT_BREAKERS),
)
"""Of the whole service: every proxy says the same."""
PROXY_METRICS = (HTTP_DURATION, BUILD_INFO)
"""Of one proxy process."""
WORKER_METRICS = (WORKER_RUN, WORKER_BATCH, WORKER_ROWS, WORKER_ATTEMPTS, WORKER_JOBS_HELD, BUILD_INFO)
"""Of one worker process."""
