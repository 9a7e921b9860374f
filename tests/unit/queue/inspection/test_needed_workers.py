"""How many workers are needed, as an autoscaler is told."""

import pytest

from inferq.jobs import Pace
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.workload import LiveWorker, Workload
from tests.unit.queue.inspection.test_forecast import NOW, SECOND, forecast, load

MINUTES = Pace(0.0, 600.0, 1)


def count(found, rate=0.0, wait=30.0, model="iris"):
    return found.measure_backlog(model, rate, wait).needed_workers


def serving(number, models, pace=None):
    paces = {"iris": pace} if pace else {}
    return Forecast(
        Workload(NOW, models, [LiveWorker(f"w{n}", ("iris",), paces) for n in range(number)]), 0.0
    )


@pytest.mark.parametrize(
    ("waiting", "rate", "wait", "workers_needed"),
    [
        (0, 0.0, 10, 0),
        (100, 0.0, 10, 10),
        (100, 2.0, 1000, 2),
        (1, 0.001, 60, 1),
        (101, 0.0, 10, 11),
        (100, 0.0, 0.001, 100),  # no more than a worker for each job
        (3, 200.0, 1000, 4),  # four workers cannot have ended 200 jobs of a second each
        (3, 0.0, 5e-324, 3),
    ],
)
def test_workers_are_needed_for_what_waits_or_for_what_comes(waiting, rate, wait, workers_needed):
    assert count(serving(4, {"iris": load(waiting)}, SECOND), rate, wait) == workers_needed


def test_nobody_is_needed_of_a_model_without_jobs():
    assert count(forecast({}), model="other") == 0
    assert count(serving(3, {}, SECOND)) == 0
    assert count(serving(3, {})) == 0


def test_no_wish_has_no_number():
    assert forecast({"iris": load(3)}).measure_backlog("iris", 1.0, None) == (None, None)


def test_before_any_run_one_is_needed_or_as_many_as_there_are():
    assert count(forecast({"iris": load(3)})) == 1
    assert count(forecast({"iris": load(3)}), wait=5e-324) == 1
    assert count(serving(4, {}, SECOND), wait=5e-324) == 0
    assert count(serving(4, {"iris": load(3)})) == 4


def test_first_run_that_lasts_shows_that_more_are_needed():
    young = {"iris": load(100, [("w0", 1.0, 1)])}
    old = {"iris": load(100, [("w0", 15.0, 1)])}
    assert count(serving(2, young)) == 4
    assert count(serving(2, old)) == 51


def test_without_workers_the_pace_of_those_before_counts():
    workload = Workload(NOW, {"iris": load(300)}, [])
    assert count(Forecast(workload, 0.0, {"iris": SECOND})) == 10
    assert Forecast(workload, 0.0, {"iris": SECOND}).measure_backlog("iris", 0.0, 30.0).seconds is None


def test_workers_in_a_long_run_are_needed_though_nothing_waits():
    claims = [(f"w{n}", 60.0, 1) for n in range(4)]
    assert count(serving(6, {"iris": load(0, claims)}, MINUTES)) == 4
    assert count(serving(6, {"iris": load(2, claims)}, MINUTES)) == 6


def test_end_of_a_long_job_does_not_call_for_workers():
    # one that has just ended is a rate of 0.1 a second for a moment
    assert count(serving(4, {"iris": load(0, [("w0", 1.0, 1)])}, MINUTES), rate=0.1) == 1


def test_run_that_lasts_longer_than_usual_is_a_long_run():
    assert (
        count(serving(4, {"iris": load(0, [("w0", 60.0, 1), ("w1", 0.1, 1), ("w2", 60.0, 1)])}, SECOND)) == 2
    )


@pytest.mark.parametrize(
    ("claim", "waiting", "wait", "workers_needed"),
    [
        (("w0", 2.0, 1, None, 900, 90.0), 0, 30.0, 3),
        (("w0", 60.0, 1, None, 900, 90.0), 0, 30.0, 3),
        (("w0", 60.0, 1, None, 900, 90.0), 60, 30.0, 5),
        (("w0", 60.0, 1, None, 100, 10.0), 0, 30.0, 1),
        (("w0", 60.0, 1, None, 7, 700.0), 0, 5e-324, 7),  # no more than a worker for each chunk
        (("w0", 0.1, 1, None, 1000, 0.0), 0, 30.0, 1),  # no chunk has run
    ],
)
def test_rest_of_a_large_job_is_work_for_many(claim, waiting, wait, workers_needed):
    assert count(serving(4, {"iris": load(waiting, [claim])}, SECOND), wait=wait) == workers_needed


def test_job_of_much_data_is_a_long_run_from_its_start():
    pace = Pace(0.0, 1.0, 1, byte_seconds=1e-3, job_bytes=1000.0)
    claims = [("w0", 0.0, 1, 1_000_000), ("w1", 0.0, 1, 1000), ("w2", 0.0, 1, 1_000_000)]
    assert count(serving(4, {"iris": load(0, claims)}, pace)) == 2
