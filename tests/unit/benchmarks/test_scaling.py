"""The simulation of autoscaling."""

from random import Random

import pytest
from benchmarks.scaling import __main__ as scaling
from benchmarks.scaling.autoscaler import Autoscaler, SecondsOfWork, count_jobs
from benchmarks.scaling.cost_curves import CostCurve, read_curves
from benchmarks.scaling.simulated_service import SimulatedService
from benchmarks.scaling.traffic import Arrival, make_bursts, make_day, make_mixture

from inferq.queue.inspection import needed_workers

SECOND = CostCurve("second", "here", 0.0, 1.0)
MIXTURE = make_mixture(600, 1.0, 100)


def run_with(workers, arrivals=MIXTURE, curve=SECOND):
    service = SimulatedService(curve, arrivals, startup_seconds=5)
    service.scale(workers)
    return service.run()


@pytest.mark.parametrize("policy", scaling.POLICIES, ids=lambda policy: policy.title)
def test_every_job_is_completed_once_and_every_second_of_a_pod_is_paid(policy):
    service = SimulatedService(
        SECOND, MIXTURE, startup_seconds=20, protects_long_runs=policy.protects_long_runs
    )
    Autoscaler(service, policy.make_signal(20), 20)
    outcome = service.run()
    assert len(outcome.waits) == len(MIXTURE)
    assert min(outcome.waits) >= 0
    work = sum(job.rows for job in MIXTURE) + outcome.lost_seconds
    assert work <= outcome.worker_seconds <= 20 * (outcome.ended_at + 30)


def test_more_workers_never_take_longer():
    ends = [run_with(workers).ended_at for workers in range(1, 30)]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > 2 * ends[-1]


def test_time_that_is_left_ends_a_simulation_and_conserves_the_jobs():
    service = SimulatedService(SECOND, MIXTURE, startup_seconds=5)
    service.scale(1)
    outcome = service.run(300)
    arrived = sum(job.at <= 300 for job in MIXTURE)
    assert 0 < len(outcome.waits) < arrived
    assert len(outcome.waits) + len(service.waiting) + 1 == arrived  # one runs
    assert service.jobs_left == len(MIXTURE) - len(outcome.waits)


def test_signal_is_what_the_service_itself_tells(monkeypatch):
    calls = []

    def count(*args, **options):
        calls.append(options["wait_seconds"])
        return needed_workers.count_needed_workers(*args, **options)

    monkeypatch.setattr("benchmarks.scaling.autoscaler.count_needed_workers", count)
    service = SimulatedService(SECOND, make_bursts(1, 60, 0, 1), startup_seconds=5)
    Autoscaler(service, SecondsOfWork(30), 20)
    outcome = service.run()
    assert len(calls) > 2
    assert set(calls) == {30}
    assert outcome.most_workers == 2


def test_run_that_outlasts_the_grace_is_cut_and_its_job_runs_again():
    service = SimulatedService(SECOND, [Arrival(0, 100)], startup_seconds=0)
    service.scale(1)
    service.call_at(10, lambda: service.scale(0))
    service.call_at(50, lambda: service.scale(1))
    outcome = service.run()
    assert (outcome.stopped_busy, outcome.cut_runs, outcome.lost_seconds) == (1, 1, 40)
    assert (outcome.waits, outcome.ended_at, outcome.worker_seconds) == ([50], 150, 140)


@pytest.mark.parametrize(("protects", "cut"), [(False, 1), (True, 0)])
def test_pods_in_a_long_run_go_last_if_they_are_protected(protects, cut):
    service = SimulatedService(
        SECOND, [Arrival(0, 1), Arrival(0, 100)], startup_seconds=0, protects_long_runs=protects
    )
    service.scale(2)  # the newer one takes the long job
    service.call_at(20, lambda: service.scale(1))
    assert service.run().cut_runs == cut


def test_count_of_a_list_that_is_empty_ends_long_runs_and_seconds_of_work_do_not():
    def simulate(signal):
        service = SimulatedService(SECOND, make_bursts(1, 4, 0, 1000), startup_seconds=30)
        Autoscaler(service, signal, 20)
        return service.run(4 * 3600)

    assert simulate(count_jobs(1)).cut_runs > 0
    seconds = simulate(SecondsOfWork(30))
    assert (seconds.cut_runs, len(seconds.waits)) == (0, 4)


def test_traffic_is_the_same_each_time_and_differs_as_it_says():
    assert make_day(3600, 1.0, 2) == make_day(3600, 1.0, 2)
    day = make_day(86_400, 0.1, 1)
    assert len(day) == pytest.approx(8640, rel=0.1)
    assert sum(abs(job.at - 43_200) < 10_800 for job in day) > 3 * sum(job.at < 21_600 for job in day)
    rows = {job.rows for job in make_mixture(36_000, 1.0, 1000)}
    assert (min(rows), max(rows) > 900) == (1, True)


def test_curves_are_recorded_with_their_origin():
    curves = read_curves()
    assert {scenario.curve for scenario in scaling.make_scenarios()} <= curves.keys()
    assert all(curve.origin and curve.row_seconds > 0 for curve in curves.values())


def test_table_tells_of_jobs_that_never_ended(monkeypatch, capsys):
    random = Random(1)
    arrivals = [Arrival(float(n), random.randint(1, 9)) for n in range(20)]
    scenario = scaling.Scenario("a few jobs", "text-lines", arrivals, 5)
    monkeypatch.setattr(scaling, "make_scenarios", lambda: [scenario])
    scaling.main()
    rows = capsys.readouterr().out.splitlines()[-len(scaling.POLICIES) :]
    assert [row.split(" | ")[1] for row in rows] == ["20"] * len(scaling.POLICIES)
    outcome = scaling.simulate(scenario, scaling.POLICIES[0], SECOND)
    assert scaling.write_row("more", outcome, 30).split(" | ")[3] == "never"
