import pytest

from inferq.jobs import Pace
from inferq.worker.pace_meter import PaceMeter


def test_pace_is_unknown_before_the_first_run():
    assert PaceMeter().read({"iris": 1}) == {}


def test_run_after_a_wait_costs_its_own_time_and_one_that_is_followed_by_another_all_until_then():
    meter = PaceMeter()
    meter.note_run("iris", 1, 10.0, 10.5)
    meter.note_wait()
    assert meter.read({"iris": 3}) == {"iris": Pace(0.0, 0.5, 3)}
    for began in (20.0, 21.0, 22.0):
        meter.note_run("slow", 1, began, began + 0.95)
    meter.note_wait()
    learned = meter.read({"slow": 1})["slow"]
    assert learned.job_seconds == pytest.approx((1.0 + 1.0 + 0.95) / 3)


def test_outage_between_two_runs_is_no_cost():
    meter = PaceMeter()
    meter.note_run("iris", 1, 0.0, 1.0)
    meter.note_run("iris", 1, 60.0, 61.0)
    assert meter.read({})["iris"].job_seconds == pytest.approx(1.05)


def test_fixed_part_is_told_from_the_part_of_each_job():
    meter, now = PaceMeter(), 0.0
    for jobs in (1, 16, 1, 16):
        meter.note_run("iris", jobs, now, now + 0.5 + 0.25 * jobs)
        meter.note_wait()
        now += 100
    pace = meter.read({"iris": 16})["iris"]
    assert pace.estimate_seconds(4) == pytest.approx(1.5)
    assert pace.most_jobs == 16


def test_only_the_latest_runs_between_two_readings_count():
    meter = PaceMeter()
    for n in range(1000):
        meter.note_run("iris", 1, float(n), n + 0.5)
        meter.note_wait()
    assert meter.read({})["iris"].job_seconds == pytest.approx(0.5)
