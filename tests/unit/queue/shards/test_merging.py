"""What becomes of the answers of several shards: without Redis."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inferq.errors import ErrorKind
from inferq.jobs import Job, Pace, Priority, Status, WorkerInfo
from inferq.provenance import Provenance
from inferq.queue.inspection.activity import MOST_CHANGED, ActivitySample, ChangedJob
from inferq.queue.inspection.error_groups import MOST_GROUPS, ErrorGroup, ErrorGroups
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.history import QueueMinute
from inferq.queue.inspection.job_scan import Position
from inferq.queue.inspection.listing import Page
from inferq.queue.inspection.memory import ServerMemory
from inferq.queue.inspection.scan_cursor import ShardPositions
from inferq.queue.inspection.shadow_report import DifferingJob, MeasuredRuns, ShadowReport
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, RunningClaim, Workload
from inferq.queue.inspection.workload_sum import add_workloads
from inferq.queue.producer.bulk_actions import ActionReport
from inferq.queue.schema.histograms import Histogram
from inferq.queue.shards.merged_findings import merge_error_groups, merge_shadows
from inferq.queue.shards.merged_metrics import add_counts, add_histograms
from inferq.queue.shards.merged_numbers import merge_history, merge_memory
from inferq.queue.shards.merged_registry import find_latest, merge_documents, merge_workers
from inferq.queue.shards.sharded_listing import merge_pages, merge_reports
from inferq.queue.shards.sharded_sampler import merge_samples

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BEGIN = ShardPositions((None, None))


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def page(*jobs, last=None):
    """A page of ended jobs: the id of each, and when it ended."""
    positions = [
        Position(True, "", at(seconds).timestamp() * 1000, job_id.encode()) for job_id, seconds in jobs
    ]
    found = [Job(job_id, Status.COMPLETED, finished_at=at(seconds)) for job_id, seconds in jobs]
    return Page(found, last, positions)


def test_page_is_in_one_order_and_ends_where_another_begins():
    first, second = page(("a", 9), ("b", 5), ("c", 1)), page(("x", 7), ("y", 6))
    merged = merge_pages({0: first, 1: second}, BEGIN, 4)
    assert [job.id for job in merged.jobs] == ["a", "x", "y", "b"]
    assert merged.last == ShardPositions((first.positions[1], None), frozenset({1}))
    assert merge_pages({0: first, 1: second}, BEGIN, 9).last is None


def test_page_ends_where_the_next_job_of_a_shard_is_not_known():
    further = Position(True, "", at(8).timestamp() * 1000, b"unfit")
    first, second = page(("a", 9), last=further), page(("x", 7))
    merged = merge_pages({0: first, 1: second}, BEGIN, 4)
    assert [job.id for job in merged.jobs] == ["a"]
    assert merged.last == ShardPositions((further, None))


def test_jobs_that_have_not_ended_come_first_by_model_and_submission():
    def waiting(job_id, model, sequence, seconds):
        job = Job(job_id, Status.PENDING, model=model, submitted_at=at(seconds))
        return Page([job], None, [Position(False, model, sequence, job_id.encode())])

    pages = {0: waiting("a", "iris", 900, 1), 1: waiting("b", "iris", 3, 2), 2: page(("c", 9))}
    pages[3] = waiting("d", "digits", 1, 0)
    merged = merge_pages(pages, ShardPositions((None,) * 4), 9)
    assert [job.id for job in merged.jobs] == ["d", "b", "a", "c"]


def test_shard_that_does_not_answer_keeps_its_position_as_long_as_others_have_more():
    known = Position(True, "", 1.0, b"k")
    begun = ShardPositions((None, known))
    first = page(("a", 9), ("b", 8))
    assert merge_pages({0: first}, begun, 1).last == ShardPositions((first.positions[0], known))
    assert merge_pages({0: first}, begun, 2).last is None


def test_reports_are_added_up():
    last = Position(True, "", 1.0, b"k")
    first = ActionReport(3, 2, Counter({ErrorKind.JOB_STATE: 1}), last)
    second = ActionReport(2, 1, Counter({ErrorKind.JOB_STATE: 1}))
    merged = merge_reports({0: first, 1: second}, BEGIN)
    assert (merged.matched, merged.changed, merged.skipped) == (5, 3, {ErrorKind.JOB_STATE: 2})
    assert merged.last == ShardPositions((last, None), frozenset({1}))


def test_worker_is_there_once_as_it_reported_last():
    old, new = (
        WorkerInfo("w", "host", 1, ("iris",), NOW, seen_at=at(-n), sent_at=at(n), jobs_done=n) for n in (1, 2)
    )
    other = WorkerInfo("v", "host", 2, ("iris",), at(-9))
    assert [(worker.id, worker.jobs_done) for worker in merge_workers([[old, other], [new]])] == [
        *(("v", 0), ("w", 2))
    ]
    assert find_latest([None, NOW, at(-1)]) == NOW
    assert find_latest([None]) is None


def test_document_is_that_of_the_first_shard_that_has_one():
    assert merge_documents([{"a": b"1"}, {"a": b"2", "b": b"3"}]) == {"a": b"1", "b": b"3"}


def test_minutes_are_added_up_by_their_time():
    def minute(number, **counts):
        usual = dict.fromkeys(("submitted", "completed", "failed", "run_seconds", "waiting"), 0)
        return QueueMinute(at(60 * number), **usual | counts)

    behind = {"iris": [minute(0, submitted=1), minute(1, submitted=2)]}
    ahead = {"iris": [minute(1, submitted=3, waiting=4), minute(2, submitted=5)]}
    assert merge_history([behind, ahead]) == {
        "iris": [minute(1, submitted=5, waiting=4), minute(2, submitted=5)]
    }


def test_memory_of_each_server_counts_once_and_has_a_limit_where_all_have_one():
    limited, free = ServerMemory(1, 10, "a"), ServerMemory(2, None, "b")
    assert merge_memory([limited, replace(limited, run_id="c")]) == ServerMemory(2, 20)
    assert merge_memory([limited, free]) == ServerMemory(3, None)
    assert merge_memory([limited, limited]) == ServerMemory(1, 10)


def test_counts_and_histograms_are_added_up():
    assert add_counts([{"a": 1, "b": 0}, {"a": 2}]) == {"a": 3, "b": 0}
    one = Histogram((1.0,), (2, 3), 9.5)
    assert add_histograms([one, one]) == Histogram((1.0,), (4, 6), 19.0)


def test_errors_are_grouped_over_all_shards():
    group = ErrorGroup("timed-out", "…", "iris", 2, NOW, "a")
    later = replace(group, count=3, latest_at=at(1), example_job_id="b")
    merged = merge_error_groups([ErrorGroups([group], True), ErrorGroups([later], True)])
    assert merged == ErrorGroups([replace(later, count=5)], True)
    many = [replace(group, error=str(number)) for number in range(MOST_GROUPS)]
    assert not merge_error_groups([ErrorGroups(many, True), ErrorGroups([group], True)]).is_complete


def test_comparisons_are_added_up_by_candidate():
    runs = MeasuredRuns(Histogram((1.0,), (2, 0), 0.5), 2)
    counts = dict.fromkeys(("compared", "agreed", "differed", "failed", "missed", "skipped", "waiting"), 1)
    report = ShadowReport(
        "2", at(0), Provenance("1"), Provenance("2"), 0.1, **counts, absolute=0.5, relative=0.0,
        primary_runs=runs, candidate_runs=runs, differing=[DifferingJob("a", "b", at(1))],
    )  # fmt: skip
    later = replace(report, since=at(5), relative=0.7, differing=[DifferingJob("c", "d", at(2))])
    [merged] = merge_shadows([[report], [later]])
    assert (merged.since, merged.compared, merged.absolute, merged.relative) == (at(0), 2, 0.5, 0.7)
    assert [job.job_id for job in merged.differing] == ["c", "a"]
    assert merged.primary_runs.summarize().mean_batch_jobs == 1.0


def test_sample_names_jobs_of_all_shards():
    def sample(prefix):
        jobs = [ChangedJob(f"{prefix}{n}", "iris", Status.PENDING, "") for n in range(MOST_CHANGED)]
        return ActivitySample(dict.fromkeys(Status, 1), jobs)

    merged = merge_samples([sample("a"), sample("b")])
    assert merged.counts[Status.FAILED] == 2
    assert [job.id for job in merged.jobs[:3]] == ["a0", "b0", "a1"]
    assert len(merged.jobs) == MOST_CHANGED


def load(waiting, *claims):
    return ModelLoad({Priority.HIGH: 0, Priority.NORMAL: waiting, Priority.LOW: 0}, [*claims])


WORKER = LiveWorker("w", ("iris",), {"iris": Pace(0.0, 1.0, 1)})


def test_workloads_are_added_up_by_the_clock_of_the_first():
    first = Workload(100.0, {"iris": load(2)}, [WORKER])
    second = Workload(160.0, {"iris": load(3, RunningClaim("w", 159_000, 1))}, [WORKER])
    merged = add_workloads(first, [second])
    assert merged == Workload(100.0, {"iris": load(5, RunningClaim("w", 99_000, 1))}, [WORKER])


def test_job_waits_for_those_of_other_shards_that_have_their_turn_before_it():
    own, other = Workload(100.0, {"iris": load(9)}, [WORKER]), Workload(100.0, {"iris": load(2)}, [WORKER])

    def expect_start(*others, position):
        job = Job("a", Status.PENDING, model="iris", submitted_at=NOW, queue_position=position)
        return Forecast(own, 0.0, None, others).expect(job, 100.0).start

    assert expect_start(position=5) == 104.0
    assert expect_start(other, position=5) == 106.0  # all of the other's are before it
    assert expect_start(other, position=2) == 102.0  # one is
    assert Forecast(own, 0.0, None, [other]).expect_new("iris", Priority.NORMAL, 100.0).start == 111.0
    backlog = Forecast(own, 0.0, None, [other]).measure_backlog("iris", 0.0, None)
    assert backlog.seconds == 10.0
