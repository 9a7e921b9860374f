from inferq.jobs import ClaimedJob, Outcome
from inferq.observability.metrics import WORKER_ATTEMPTS, WORKER_BATCH, WORKER_ROWS, WORKER_RUN
from inferq.observability.run_metrics import RunMetrics


def test_runs_and_ends_are_counted_by_model():
    metrics = RunMetrics()
    metrics.run_ended("iris", 8, 80, 0.2)
    metrics.run_ended("iris", 1, 1, 400.0)
    metrics.run_ended("wine", 1, 3, 0.2)
    job = ClaimedJob("a", "iris", b"", 1, "token")
    metrics.jobs_ended([Outcome(job)] * 3, ["completed", "late", "completed"])
    read = {(one.metric, one.labels): one.value for one in metrics.read()}
    assert read[WORKER_ROWS, ("iris",)] == 81
    assert read[WORKER_ROWS, ("wine",)] == 3
    assert (read[WORKER_RUN, ("iris",)].total, sum(read[WORKER_RUN, ("iris",)].counts)) == (400.2, 2)
    assert (read[WORKER_BATCH, ("iris",)].total, sum(read[WORKER_BATCH, ("iris",)].counts)) == (9, 2)
    assert read[WORKER_ATTEMPTS, ("iris", "completed")] == 2
    assert read[WORKER_ATTEMPTS, ("iris", "late")] == 1
