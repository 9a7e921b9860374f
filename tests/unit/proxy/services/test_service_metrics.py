from dataclasses import replace
from datetime import UTC, datetime

from inferq.jobs import Priority, WorkerInfo
from inferq.observability import metrics
from inferq.proxy.services.service_metrics import describe_service
from inferq.queue import ModelMetrics, QueueMetrics, ServerMemory
from inferq.queue.schema.histograms import Histogram

WAIT, RUN, TOTAL = (Histogram((1.0, 5.0), (number, 2, 3), 20.0) for number in range(3))
BATCH = Histogram((1.0, 2.0), (4, 5, 6), 60.0)
IRIS = ModelMetrics(
    submitted=dict(zip(Priority, (1, 2, 3), strict=True)),
    user_retries=4,
    ended={("completed", ""): 5, ("failed", "model-error"): 6, ("failed", "outside"): 7, ("lost", ""): 8},
    open=9,
    waiting=dict(zip(Priority, (10, 11, 12), strict=True)),
    running=13,
    retrying=14,
    dead_letters=15,
    oldest_wait_seconds=16.5,
    workers=17,
    wait=WAIT,
    run=RUN,
    total=TOTAL,
    batch=BATCH,
    leases_lapsed=18,
    recovered=19,
    retries=20,
    late=21,
    stale=22,
    run_seconds={"": 23.5, "ann": 24.5},
)
QUEUE = QueueMetrics(
    models={"iris": IRIS},
    workers=[WorkerInfo("w", "h", 1, ("iris",), datetime.now(UTC))],
    webhooks={"pending": 25, "delivered": 26, "given-up": 27},
    open_circuits=28,
    held_bytes=29,
    most_held_bytes=30,
    blobs=33,
    blob_bytes=34,
    blob_free_bytes=35,
)
MEMORY = ServerMemory(31, 32)
EXPECTED = {
    "inferq_redis_up": {(): 1},
    "inferq_redis_memory_bytes": {(): 31},
    "inferq_redis_memory_limit_bytes": {(): 32},
    "inferq_jobs_submitted_total": {("iris", "high"): 1, ("iris", "normal"): 2, ("iris", "low"): 3},
    "inferq_jobs_ended_total": {
        ("iris", "completed", ""): 5,
        **{
            ("iris", "failed", kind): 0
            for kind in (
                *("invalid-input", "invalid-model", "timed-out", "crashed"),
                *("cancelled", "expired", "result-too-large", "input-unavailable"),
                *(
                    "input-not-found",
                    "input-denied",
                    "input-too-large",
                    "output-unavailable",
                    "output-denied",
                ),
            )
        },
        ("iris", "failed", "model-error"): 6,
        ("iris", "failed", "outside"): 7,
        ("iris", "lost", ""): 8,
    },
    "inferq_jobs": {
        ("iris", "waiting", "high"): 10,
        ("iris", "waiting", "normal"): 11,
        ("iris", "waiting", "low"): 12,
        ("iris", "running", ""): 13,
        ("iris", "retrying", ""): 14,
    },
    "inferq_dead_letters": {("iris",): 15},
    "inferq_oldest_wait_seconds": {("iris",): 16.5},
    "inferq_workers": {("iris",): 17},
    "inferq_wait_seconds": {("iris",): WAIT},
    "inferq_run_seconds": {("iris",): RUN},
    "inferq_total_seconds": {("iris",): TOTAL},
    "inferq_batch_jobs": {("iris",): BATCH},
    "inferq_leases_lapsed_total": {("iris",): 18},
    "inferq_jobs_recovered_total": {("iris",): 19},
    "inferq_retries_total": {("iris",): 20},
    "inferq_user_retries_total": {("iris",): 4},
    "inferq_late_finishes_total": {("iris",): 21},
    "inferq_stale_finishes_total": {("iris",): 22},
    "inferq_model_run_seconds_total": {("iris", ""): 23.5, ("iris", "ann"): 24.5},
    "inferq_webhooks": {("pending",): 25},
    "inferq_webhooks_ended_total": {("delivered",): 26, ("given-up",): 27},
    "inferq_circuit_breakers_open": {(): 28},
    "inferq_queue_bytes": {(): 29},
    "inferq_queue_limit_bytes": {(): 30},
    "inferq_blob_files": {(): 33},
    "inferq_blob_bytes": {(): 34},
    "inferq_blob_free_bytes": {(): 35},
}


def read(queue, memory):
    """Value of each series, by the metric's name and the values of its labels."""
    found = {}
    for reading in describe_service(queue, memory):
        assert len(reading.labels) == len(reading.metric.labels)
        found.setdefault(reading.metric.name, {})[reading.labels] = reading.value
    return found


def test_every_number_has_its_metric():
    assert read(QUEUE, MEMORY) == EXPECTED
    assert EXPECTED.keys() == {metric.name for metric in metrics.SERVICE_METRICS}


def test_limits_that_do_not_exist_are_left_out():
    nothing = {"most_held_bytes": None, "blobs": None, "blob_bytes": None, "blob_free_bytes": None}
    unlimited = read(replace(QUEUE, **nothing), ServerMemory(31, None))
    left_out = EXPECTED.keys() - unlimited.keys()
    assert left_out == {
        *("inferq_redis_memory_limit_bytes", "inferq_queue_limit_bytes"),
        *("inferq_blob_files", "inferq_blob_bytes", "inferq_blob_free_bytes"),
    }


def test_model_without_waiting_jobs_has_an_oldest_wait_of_zero():
    idle = replace(QUEUE, models={"iris": replace(IRIS, oldest_wait_seconds=None)})
    assert read(idle, MEMORY)["inferq_oldest_wait_seconds"] == {("iris",): 0.0}
