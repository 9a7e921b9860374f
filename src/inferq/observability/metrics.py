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

SERVICE_METRICS = (REDIS_UP, REDIS_MEMORY, REDIS_MEMORY_LIMIT)
"""Of the whole service: every proxy says the same."""
PROXY_METRICS = (HTTP_DURATION, BUILD_INFO)
"""Of one proxy process."""
WORKER_METRICS = (WORKER_RUN, WORKER_BATCH, WORKER_ROWS, WORKER_ATTEMPTS, WORKER_JOBS_HELD, BUILD_INFO)
"""Of one worker process."""
