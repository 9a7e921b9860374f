"""What is expected of jobs, and of how many workers they need."""

from datetime import UTC, datetime

import pytest

from inferq.jobs import Attempt, ErrorKind, Job, Pace, Priority, Status
from inferq.queue.inspection.forecast import Expectation, Forecast
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, RunningClaim, Workload

NOW = 1_770_000_000.0
SECOND = Pace(0.0, 1.0, 1)


def load(normal=0, claims=(), high=0, low=0):
    waiting = {Priority.HIGH: high, Priority.NORMAL: normal, Priority.LOW: low}
    return ModelLoad(
        waiting, [RunningClaim(worker, round(1000 * (NOW - age)), *more) for worker, age, *more in claims]
    )


def workers(*paces):
    return [LiveWorker(f"w{n}", tuple(of_models), of_models) for n, of_models in enumerate(paces)]


def forecast(models, *paces, share=0.0):
    return Forecast(Workload(NOW, models, workers(*paces)), share)


def pending(position, model="iris", priority=Priority.NORMAL, **fields):
    return Job("1", Status.PENDING, model=model, queue_position=position, priority=priority, **fields)


def expect_in(found, job, now=NOW):
    expected = found.expect(job, now)
    return None if expected is None else (round(expected.start - now, 6), round(expected.end - now, 6))


def test_jobs_are_taken_one_after_the_other_by_the_worker_that_is_free_first():
    found = forecast({"iris": load(5, [("w0", 0.4, 1), ("w1", 0.9, 1)])}, {"iris": SECOND}, {"iris": SECOND})
    assert [expect_in(found, pending(n))[0] for n in range(1, 6)] == [0.1, 0.6, 1.1, 1.6, 2.1]
    assert expect_in(found, pending(1)) == (0.1, 1.1)


def test_jobs_of_one_claim_are_taken_and_end_together():
    found = forecast({"iris": load(8)}, {"iris": Pace(0.5, 0.125, 4)})
    # the worker claims the next full batch when a run begins
    assert [expect_in(found, pending(n)) for n in (1, 4, 5, 8)] == [(0, 1), (0, 1), (0, 2), (0, 2)]


def test_models_alternate_until_one_has_no_jobs_left():
    slow = Pace(0.0, 3.0, 1)
    found = forecast({"iris": load(9), "slow": load(2)}, {"iris": SECOND, "slow": slow})
    assert [expect_in(found, pending(n))[0] for n in (1, 2, 3, 4)] == [0.0, 4.0, 8.0, 9.0]
    assert [expect_in(found, pending(n, "slow"))[0] for n in (1, 2)] == [1.0, 5.0]


def test_model_that_runs_has_its_next_turn_after_the_others():
    paces = {"heavy": Pace(0.0, 10.0, 1), "iris": SECOND}
    found = forecast({"heavy": load(3, [("w0", 4.0, 1)]), "iris": load(1)}, paces)
    assert expect_in(found, pending(1)) == (6, 7)
    assert expect_in(found, pending(1, "heavy")) == (7, 17)


def test_higher_priorities_come_first_but_for_their_share():
    models = {"iris": load(40, high=40)}
    strict, shared = forecast(models, {"iris": SECOND}), forecast(models, {"iris": SECOND}, share=0.25)
    assert expect_in(strict, pending(1, priority=Priority.HIGH))[0] == 0
    assert expect_in(strict, pending(41))[0] == 40
    assert expect_in(shared, pending(41))[0] < 8


@pytest.mark.parametrize("position", [100, 1000, 100_000])
def test_jobs_far_behind_are_expected_at_the_rate_of_all_workers(position):
    slow = Pace(0.0, 3.0, 1)
    found = forecast(
        {"iris": load(100_000), "slow": load(20)}, {"iris": SECOND, "slow": slow}, {"iris": SECOND}
    )
    start, _ = expect_in(found, pending(position))
    assert start == pytest.approx((position + 20 * 3) / 2, rel=0.1)


def test_each_worker_has_its_own_pace_and_a_new_one_that_of_the_others():
    found = forecast({"iris": load(400)}, {"iris": SECOND}, {"iris": Pace(0.0, 0.25, 1)})
    assert expect_in(found, pending(401))[0] == pytest.approx(80, abs=1)
    new = Workload(NOW, {"iris": load(4)}, [*workers({"iris": SECOND}), LiveWorker("new", ("iris",), {})])
    assert [expect_in(Forecast(new, 0.0), pending(n))[0] for n in (1, 2, 3)] == [0, 0, 1]


def test_a_run_that_is_late_is_expected_to_take_as_long_again_as_it_is_late():
    found = forecast({"iris": load(1, [("w0", 1.25, 1)])}, {"iris": SECOND})
    assert expect_in(found, pending(1)) == (0.25, 1.25)
    found = forecast({"iris": load(1, [("w0", 60, 1)])}, {"iris": SECOND})
    assert expect_in(found, pending(1)) == (1, 2)


def test_a_run_is_expected_to_last_by_the_size_of_its_job_and_by_no_less_than_nothing():
    sized = Pace(0.0, 1.0, 1, byte_seconds=0.01, job_bytes=100)
    for size, seconds in ((100, 1.0), (500, 5.0), (50, 0.5), (0, 0.0)):
        found = forecast({"iris": load(2, [("w0", 0.0, 1, size)])}, {"iris": sized})
        assert expect_in(found, pending(1)) == (seconds, seconds + 1.0)  # the size of what waits is not known
    batch = sized._replace(most_jobs=8)
    found = forecast({"iris": load(1, [("w0", 0.0, 4, 150)])}, {"iris": batch})
    assert expect_in(found, pending(1))[0] == 4.5  # of the others only the mean


def test_what_has_been_taken_since_the_workload_was_read_is_reckoned_with():
    found = forecast({"iris": load(9, [("w0", 0.0, 1)])}, {"iris": SECOND})
    assert expect_in(found, pending(3)) == (3.0, 4.0)
    assert expect_in(found, pending(3), NOW + 2.5) == (2.5, 3.5)


def test_jobs_that_have_come_since_are_expected_behind_the_others():
    found = forecast({"iris": load(2)}, {"iris": SECOND})
    assert [expect_in(found, pending(n))[0] for n in (2, 3, 4)] == [1, 2, 3]
    idle = forecast({}, {"iris": SECOND})
    assert expect_in(idle, pending(1)) == (0, 1)


def test_jobs_that_have_come_since_have_the_turn_of_their_model_among_claims_expected_already():
    paces = {"heavy": SECOND, "light": Pace(0.0, 0.125, 4)}
    found = forecast({"heavy": load(9, [("w0", 0.5, 1)])}, paces)
    assert expect_in(found, pending(9, "heavy")) == (8.5, 9.5)
    late = [expect_in(found, pending(n, "light"), NOW + 0.25) for n in (1, 2, 4, 5)]
    assert late == [(0.25, 0.375), (0.25, 0.375), (0.25, 0.5), (1.25, 1.375)]
    assert expect_in(found, pending(2, "light"), NOW + 0.75) == (0.75, 0.875)
    assert expect_in(found, pending(10, "heavy"), NOW + 0.25)[0] == pytest.approx(9.25, abs=1)


def test_jobs_that_have_come_since_are_expected_behind_higher_priorities():
    paces = {"heavy": SECOND, "light": Pace(0.0, 0.125, 4)}
    found = forecast({"heavy": load(5, high=3)}, paces)
    assert expect_in(found, pending(8, "heavy"))[0] == 7
    assert expect_in(found, pending(1, "light"), NOW + 0.25)[0] == 2.75
    assert expect_in(found, pending(1, "light", Priority.HIGH), NOW + 0.25)[0] == 0.75


def running(started=0.4, worker="w0", **fields):
    at = datetime.fromtimestamp(NOW - started, UTC)
    attempt = Attempt(1, at, fields.pop("finished_at", None), worker, fields.pop("kind", None))
    return Job("1", Status.PROCESSING, model="iris", started_at=at, history=(attempt,), **fields)


def test_end_of_a_running_job_follows_from_its_claim():
    two = [("w0", 0.4, 1), ("w0", 0.1, 2)]
    found = forecast({"iris": load(0, two)}, {"iris": Pace(0.5, 0.5, 4)})
    assert found.expect(running(), NOW) == Expectation(None, pytest.approx(NOW + 0.9))  # it began 0.1 s ago
    assert found.expect(running(0.1), NOW) == Expectation(None, pytest.approx(NOW + 2.4))
    unseen = forecast({}, {"iris": SECOND})
    assert unseen.expect(running(0.25), NOW) == Expectation(None, pytest.approx(NOW + 0.75))


@pytest.mark.parametrize(
    "job",
    [
        pending(1, "other"),
        pending(None),
        pending(1, model=None),
        pending(1, history=(Attempt(1, None, None, "w0", ErrorKind.MODEL_ERROR),)),
        Job("1", Status.PROCESSING, model="iris"),
        running(worker="gone"),
        Job("1", Status.COMPLETED, model="iris"),
    ],
    ids=["model", "position", "from outside", "retrying", "outside worker", "dead worker", "ended"],
)
def test_nothing_is_expected_where_nothing_can_be_known(job):
    assert forecast({"iris": load(3)}, {"iris": SECOND}).expect(job, NOW) is None


def test_nothing_is_expected_without_a_worker_or_a_run():
    assert forecast({"iris": load(3)}).expect(pending(1), NOW) is None
    unused = Workload(NOW, {"iris": load(3)}, [LiveWorker("w0", ("iris",), {})])
    assert Forecast(unused, 0.0).expect(pending(1), NOW) is None


def test_backlog_is_the_time_until_all_that_waits_is_taken():
    found = forecast({"iris": load(8, [("w0", 0.5, 1)], low=2)}, {"iris": SECOND}, {"iris": SECOND})
    assert found.measure_backlog("iris", 0, None).seconds == pytest.approx(4.5)
    assert found.measure_backlog("other", 0, None).seconds is None
    assert forecast({}, {"iris": SECOND}).measure_backlog("iris", 0, None).seconds == 0.0
