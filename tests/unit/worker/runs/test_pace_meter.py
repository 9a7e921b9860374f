import pytest

from inferq.jobs import Pace
from inferq.worker.runs.pace_meter import PaceMeter


def test_pace_is_unknown_before_the_first_run():
    assert PaceMeter().read({"iris": 1}) == {}


def test_run_after_a_wait_costs_its_own_time_and_one_that_is_followed_by_another_all_until_then():
    meter = PaceMeter()
    meter.note_run("iris", 1, 20, 10.0, 10.5)
    meter.note_wait()
    assert meter.read({"iris": 3}) == {"iris": Pace(0.0, 0.5, 3, 0.0, 20.0)}
    for began in (20.0, 21.0, 22.0):
        meter.note_run("slow", 1, 20, began, began + 0.95)
    meter.note_wait()
    learned = meter.read({"slow": 1})["slow"]
    assert learned.job_seconds == pytest.approx((1.0 + 1.0 + 0.95) / 3)


def test_outage_between_two_runs_is_no_cost():
    meter = PaceMeter()
    meter.note_run("iris", 1, 20, 0.0, 1.0)
    meter.note_run("iris", 1, 20, 60.0, 61.0)
    assert meter.read({"iris": 1})["iris"].job_seconds == pytest.approx(1.05)


def test_fixed_part_is_told_from_the_part_of_each_job():
    meter, now = PaceMeter(), 0.0
    for jobs in (1, 16, 1, 16):
        meter.note_run("iris", jobs, 20 * jobs, now, now + 0.5 + 0.25 * jobs)
        meter.note_wait()
        now += 100
    pace = meter.read({"iris": 16})["iris"]
    assert pace.estimate_seconds(4) == pytest.approx(1.5)
    assert pace.most_jobs == 16


def test_only_the_latest_runs_between_two_readings_count():
    meter = PaceMeter()
    for n in range(1000):
        meter.note_run("iris", 1, 20, float(n), n + 0.5)
        meter.note_wait()
    assert meter.read({"iris": 1})["iris"].job_seconds == pytest.approx(0.5)


def note_sizes(meter, sizes, cost):
    for size in sizes:
        meter.note_run("iris", 1, size, 0.0, cost(size))
        meter.note_wait()


@pytest.mark.parametrize("size", [100, 500, 800])
def test_jobs_are_expected_to_cost_by_their_size_where_that_is_what_runs_have_cost(size):
    meter = PaceMeter()
    note_sizes(meter, [100, 800, 300, 600, 200, 700, 400, 500] * 4, lambda size: 0.1 + 0.001 * size)
    pace = meter.read({"iris": 1})["iris"]
    assert pace.estimate_seconds(1, size) == pytest.approx(0.1 + 0.001 * size, rel=0.1)
    assert pace.estimate_seconds(1) == pytest.approx(0.55, rel=0.1)


def test_size_of_jobs_means_nothing_where_it_has_meant_nothing():
    meter = PaceMeter()
    note_sizes(meter, [100, 800, 300, 600] * 4, lambda _: 0.5)
    assert meter.read({"iris": 1})["iris"].estimate_seconds(1, 80_000) == pytest.approx(0.5)


def test_job_of_a_size_unlike_all_before_costs_no_more_than_in_proportion():
    meter = PaceMeter()
    note_sizes(meter, [99, 101] * 20, lambda size: 0.5 if size > 100 else 0.1)  # by chance
    pace = meter.read({"iris": 1})["iris"]
    assert pace.estimate_seconds(1, 1000) <= 1.01 * 10 * pace.estimate_seconds(1)
    assert pace.estimate_seconds(1, 101) == pytest.approx(pace.estimate_seconds(1), rel=0.1)


def test_larger_jobs_in_a_batch_cost_more():
    meter = PaceMeter()
    for size in (100, 900, 300, 700) * 5:
        meter.note_run("iris", 4, 4 * size, 0.0, 4 * 0.001 * size)
        meter.note_wait()
    pace = meter.read({"iris": 1})["iris"]
    assert pace.estimate_seconds(4, 900) - pace.estimate_seconds(4, 100) == pytest.approx(0.8, rel=0.1)


def test_queue_that_is_not_served_any_more_is_forgotten():
    meter = PaceMeter()
    for model in ("iris@1", "iris@2"):
        meter.note_run(model, 1, 1, 0.0, 1.0)
    assert meter.read({"iris@1": 1, "iris@2": 1}).keys() == {"iris@1", "iris@2"}
    assert meter.read({"iris@2": 1}).keys() == {"iris@2"}
    assert meter.read({"iris@1": 1, "iris@2": 1}).keys() == {"iris@2"}
