from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inferq.doctor.finding import Level
from inferq.doctor.worker_checks import check_queues, check_workers
from inferq.jobs import Priority, WorkerInfo
from inferq.queue import QueueNumbers, QueueStats
from inferq.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL = WorkerInfo(
    *("worker-1", "here", 1, ("iris",), NOW),
    seen_at=NOW - timedelta(seconds=1),
    model_versions={"iris": "abc"},
    inferq_version="1.0",
    sent_at=NOW - timedelta(seconds=1.1),
)


def judge(*workers, last=None):
    found = check_workers(QueueStats({}, list(workers), 0, 0, NOW), last, "1.0", Settings())
    return [(one.check, one.level.value, one.message) for one in found]


def test_worker_that_reports_is_described():
    [(_, level, message)] = judge(WELL)
    assert level == "ok"
    assert message == "worker-1: heartbeat 1.0 s ago; 0 jobs done; serves iris abc."


def test_no_worker_is_an_error_that_says_since_when():
    [(_, level, message)] = judge()
    assert (level, message) == ("error", "No live worker has reported yet.")
    assert "since 2026-01-01 00:00:00 UTC" in judge(last=NOW)[0][2]


def test_worker_that_is_late_of_another_version_or_with_a_wrong_clock_is_named():
    late = replace(WELL, seen_at=NOW - timedelta(seconds=5), sent_at=NOW - timedelta(seconds=5))
    assert [entry[:2] for entry in judge(late)] == [("workers", "warning")]
    assert [entry[:2] for entry in judge(replace(WELL, inferq_version=""))][1:] == [("versions", "warning")]
    wrong = replace(WELL, sent_at=NOW + timedelta(seconds=60))
    assert [entry[:2] for entry in judge(wrong)][1:] == [("worker-clock", "warning")]


def test_shard_that_no_worker_reports_to_is_an_error():
    found = check_workers(QueueStats({}, [WELL], 0, 0, NOW, (1, 2)), None, "1.0", Settings())
    assert [one.message for one in found if one.level is Level.ERROR] == [
        "No live worker reports to shard 1, 2, so its jobs wait."
    ]


def test_many_workers_are_not_all_listed():
    assert judge(*[WELL] * 22)[-1][2] == "2 more workers are alive."


def test_jobs_that_nobody_serves_are_an_error():
    queue = QueueNumbers(
        {Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 0}, 0, 0, 0, 1.0, 0.0, 0, 3, 0, 0
    )
    [finding] = check_queues({"a": queue, "b": replace(queue, workers=1)})
    assert finding.level is Level.ERROR
    assert "3 jobs wait for the model 'a'" in finding.message
