"""Prints how long jobs wait and what workers cost, scaled by the number of jobs and by seconds of work.

Run: uv run python -m benchmarks.scaling
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from benchmarks.scaling.autoscaler import Autoscaler, SecondsOfWork, Signal, count_jobs, count_open_jobs
from benchmarks.scaling.cost_curves import CostCurve, read_curves
from benchmarks.scaling.simulated_service import Outcome, SimulatedService
from benchmarks.scaling.traffic import Arrival, make_bursts, make_day, make_mixture

TARGET_SECONDS = 30.0
MOST_WORKERS = 20
_PATIENCE_SECONDS = 6 * 3600.0
"""So long after the last job has come, what is not completed counts as never."""
_KEDA_LENGTH = 5.0
"""KEDA's default `listLength`."""


class Scenario(NamedTuple):
    """What comes, and what it costs.

    Attributes:
        title: What it is.
        curve: Name of the recorded curve.
        arrivals: The jobs.
        startup_seconds: Start-up time of a pod.
    """

    title: str
    curve: str
    arrivals: Sequence[Arrival]
    startup_seconds: float


class Policy(NamedTuple):
    """A way to scale.

    Attributes:
        title: What it is.
        make_signal: Makes its signal, of what a job of the mean size costs in seconds.
        protects_long_runs: Whether pods in a long run are the last to go.
    """

    title: str
    make_signal: Callable[[float], Signal]
    protects_long_runs: bool = False


def tune(job_seconds: float) -> float:
    """Returns how many jobs of the mean size take a worker as long as a job may wait; at least 1."""
    return max(1.0, TARGET_SECONDS / job_seconds)


POLICIES = (
    Policy("waiting jobs, 5 a worker (KEDA's default)", lambda _: count_jobs(_KEDA_LENGTH)),
    Policy("waiting jobs, tuned to the mean job", lambda seconds: count_jobs(tune(seconds))),
    Policy("jobs that have not ended, tuned", lambda seconds: count_open_jobs(tune(seconds))),
    Policy("seconds of work", lambda _: SecondsOfWork(TARGET_SECONDS)),
    Policy("seconds of work, long runs go last", lambda _: SecondsOfWork(TARGET_SECONDS), True),
)


def make_scenarios() -> list[Scenario]:
    """Returns what is simulated."""
    day = make_day(24 * 3600, 0.25, 10)
    return [
        Scenario(
            "bursts of 20,000 small jobs every 30 min", "file-type", make_bursts(4, 20_000, 1800, 1), 30
        ),
        Scenario("a day of pictures with 10 pages", "text-boxes", day, 30),
        Scenario("a day of pictures with 10 pages", "text-boxes", day, 180),
        Scenario("jobs that differ by 1000 ×", "text-lines", make_mixture(4 * 3600, 1.0, 1000), 60),
        Scenario("12 jobs of 15 min every 2 h", "text-boxes", make_bursts(4, 12, 7200, 2000), 60),
        Scenario("jobs of up to 30 min", "text-lines", make_mixture(8 * 3600, 0.02, 72_000), 60),
    ]


def simulate(scenario: Scenario, policy: Policy, curve: CostCurve) -> Outcome:
    """Simulates one scenario with one policy."""
    service = SimulatedService(
        curve,
        scenario.arrivals,
        startup_seconds=scenario.startup_seconds,
        protects_long_runs=policy.protects_long_runs,
    )
    mean_rows = sum(job.rows for job in scenario.arrivals) / len(scenario.arrivals)
    Autoscaler(service, policy.make_signal(curve.measure(round(mean_rows), 1)), MOST_WORKERS)
    return service.run(scenario.arrivals[-1].at + _PATIENCE_SECONDS)


def write_row(title: str, outcome: Outcome, jobs: int) -> str:
    """Writes what came of a policy for so many jobs as a row of the table."""
    waits = [*outcome.waits, *[inf] * (jobs - len(outcome.waits))]
    cells = (
        title,
        f"{len(outcome.waits):,}",
        *(_write_wait(waits, share) for share in (0.5, 0.99)),
        f"{outcome.worker_seconds / 3600:,.1f} h",
        str(outcome.most_workers),
        str(outcome.stopped_busy),
        str(outcome.cut_runs),
        f"{outcome.lost_seconds / 60:,.0f} min",
    )
    return f"| {' | '.join(cells)} |"


def _write_wait(waits: Sequence[float], share: float) -> str:
    seconds = sorted(waits)[min(len(waits) - 1, int(share * len(waits)))]
    return "never" if seconds == inf else f"{seconds:,.1f} s"


_HEAD = (
    "| scaled by | completed | wait, p50 | wait, p99 | workers paid | most | told to stop in a run "
    "| runs lost | work lost |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> None:
    """Simulates all, and prints a table for each scenario."""
    curves = read_curves()
    for scenario in make_scenarios():
        curve = curves[scenario.curve]
        print(
            f"\n**{scenario.title}**: {len(scenario.arrivals):,} jobs, {curve.name} "
            f"({curve.fixed_seconds:.3g} s + {curve.row_seconds:.3g} s a row), pods start in "
            f"{scenario.startup_seconds:g} s\n\n{_HEAD}"
        )
        for policy in POLICIES:
            print(
                write_row(policy.title, simulate(scenario, policy, curve), len(scenario.arrivals)), flush=True
            )


if __name__ == "__main__":
    main()
