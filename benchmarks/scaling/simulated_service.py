"""One model's queue and its workers, in simulated time.

What a run costs is a recorded curve; how many jobs a worker claims, and what it learns of them, is the
worker's own code.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import exp, inf

from benchmarks.scaling.cost_curves import CostCurve
from benchmarks.scaling.traffic import Arrival
from inferq.jobs import Pace
from inferq.worker.runs.batch_planner import plan_jobs, plan_rows
from inferq.worker.runs.pace_meter import PaceMeter
from inferq.worker.runs.run_cost import RunCost

BUDGET_SECONDS = 0.05
"""`INFERQ_BATCH_BUDGET_SECONDS`."""
GRACE_SECONDS = 30.0
"""`INFERQ_SHUTDOWN_SECONDS`: how long a worker that is told to stop may take to finish its jobs."""
ROW_BYTES = 1000
_RATE_SECONDS = 10.0
"""The time constant of `jobs_per_second`."""


@dataclass(slots=True)
class SimulatedWorker:
    """A pod with one worker.

    Attributes:
        number: Its number, in the order in which pods were created.
        created_at: When it was created, and began to cost.
        ready_at: When it could claim.
        jobs: The jobs that it runs.
        began: When it claimed them.
        ends: When their run is over.
        is_stopping: Whether it was told to stop.
    """

    number: int
    created_at: float
    ready_at: float
    is_ready: bool = False
    jobs: list[Arrival] = field(default_factory=list)
    began: float = 0.0
    ends: float = 0.0
    is_stopping: bool = False
    meter: PaceMeter = field(default_factory=PaceMeter)
    cost: RunCost = field(default_factory=RunCost)
    rows_per_job: float = 1.0

    def plan_claim(self) -> int:
        """Returns how many jobs to claim at once."""
        return plan_jobs(self._plan_rows(), self.rows_per_job)

    def plan_runs(self, rows: int) -> int:
        """Returns into how many runs so many rows are divided; a job is never divided here."""
        return max(1, min(len(self.jobs), -(-rows // (2 * self._plan_rows()))))

    def read_pace(self) -> Pace | None:
        """Returns what its heartbeat tells."""
        return self.meter.read({"model": self.plan_claim()}).get("model")

    def _plan_rows(self) -> int:
        return plan_rows(self.cost.estimate(), self.cost.most_rows, BUDGET_SECONDS)


@dataclass(slots=True)
class Outcome:
    """What came of a simulation.

    Attributes:
        waits: How long each job waited for the run that completed it, seconds.
        worker_seconds: How long pods have existed, together.
        stopped_busy: Pods that were told to stop in the middle of a run.
        cut_runs: Runs of which the end did not come in time: their jobs were requeued.
        lost_seconds: What these had run for.
        most_workers: Pods at the same time.
        ended_at: When the last job was completed.
    """

    waits: list[float] = field(default_factory=list)
    worker_seconds: float = 0.0
    stopped_busy: int = 0
    cut_runs: int = 0
    lost_seconds: float = 0.0
    most_workers: int = 0
    ended_at: float = 0.0


class SimulatedService:
    """The queue, and the pods that it is given.

    Args:
        curve: What runs cost.
        arrivals: The jobs, in the order of their times.
        startup_seconds: From the creation of a pod to its first claim.
        protects_long_runs: Whether pods that have been in a run for 10 s are the last to go.

    Attributes:
        now: The time, seconds since the beginning.
        waiting: The jobs that wait, the next one first.
        workers: The pods that exist.
        outcome: What came of it so far.
    """

    def __init__(
        self,
        curve: CostCurve,
        arrivals: Iterable[Arrival],
        *,
        startup_seconds: float,
        protects_long_runs: bool = False,
    ) -> None:
        self._curve = curve
        self._startup_seconds = startup_seconds
        self._protects_long_runs = protects_long_runs
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._numbers = count()
        self._rate = self._rated_at = 0.0
        self._jobs_left = 0
        self.now = 0.0
        self.waiting: deque[Arrival] = deque()
        self.workers: list[SimulatedWorker] = []
        self.outcome = Outcome()
        for arrival in arrivals:
            self._jobs_left += 1
            self.call_at(arrival.at, lambda arrival=arrival: self._arrive(arrival))  # type: ignore[misc]

    @property
    def jobs_per_second(self) -> float:
        """How many jobs have ended recently, as the service tells it."""
        return self._rate * exp((self._rated_at - self.now) / _RATE_SECONDS)

    @property
    def active_workers(self) -> list[SimulatedWorker]:
        """The pods that were not told to stop."""
        return [worker for worker in self.workers if not worker.is_stopping]

    def call_at(self, at: float, call: Callable[[], None]) -> None:
        """Has something called at a time."""
        heappush(self._events, (at, next(self._order), call))

    @property
    def jobs_left(self) -> int:
        """How many jobs are not completed."""
        return self._jobs_left

    def run(self, seconds: float = inf) -> Outcome:
        """Goes on until all jobs are completed, or so much time has passed."""
        while self._jobs_left and self._events and self._events[0][0] <= seconds:
            self.now, _, call = heappop(self._events)
            call()
        for worker in list(self.workers):
            self._remove(worker)
        return self.outcome

    def scale(self, replicas: int) -> None:
        """Creates pods, or tells some to stop, until so many are left."""
        active = self.active_workers
        for _ in range(replicas - len(active)):
            worker = SimulatedWorker(next(self._numbers), self.now, self.now + self._startup_seconds)
            self.workers.append(worker)
            self.call_at(worker.ready_at, lambda worker=worker: self._make_ready(worker))  # type: ignore[misc]
        self.outcome.most_workers = max(self.outcome.most_workers, len(self.workers))
        for worker in sorted(active, key=self._rank_for_stop)[: max(0, len(active) - replicas)]:
            self._stop(worker)

    def _rank_for_stop(self, worker: SimulatedWorker) -> tuple[bool, bool, int]:
        """As Kubernetes chooses: what is not ready, then the lowest deletion cost, then the newest."""
        is_long = bool(worker.jobs) and self.now - worker.began >= 10
        return worker.is_ready, self._protects_long_runs and is_long, -worker.number

    def _arrive(self, job: Arrival) -> None:
        self.waiting.append(job)
        self._wake()

    def _wake(self) -> None:
        for worker in self.workers:
            if self.waiting and worker.is_ready and not worker.jobs and not worker.is_stopping:
                worker.meter.note_wait()
                self._claim(worker)

    def _make_ready(self, worker: SimulatedWorker) -> None:
        if not worker.is_stopping:
            worker.is_ready = True
            self._claim(worker)

    def _claim(self, worker: SimulatedWorker) -> None:
        if not self.waiting or worker.is_stopping:
            return
        worker.jobs = [self.waiting.popleft() for _ in range(min(worker.plan_claim(), len(self.waiting)))]
        rows = sum(job.rows for job in worker.jobs)
        worker.began = self.now
        worker.ends = self.now + self._curve.measure(rows, worker.plan_runs(rows))
        self.call_at(worker.ends, lambda: self._finish(worker))

    def _finish(self, worker: SimulatedWorker) -> None:
        if worker.ends != self.now or not worker.jobs:
            return  # it was cut
        jobs, rows = worker.jobs, sum(job.rows for job in worker.jobs)
        runs = worker.plan_runs(rows)
        worker.rows_per_job += 0.1 * (rows / len(jobs) - worker.rows_per_job)
        worker.cost.add(max(1, rows // runs), (worker.ends - worker.began) / runs)
        worker.meter.note_run("model", len(jobs), rows * ROW_BYTES, worker.began, worker.ends)
        self.outcome.waits += [worker.began - job.at for job in jobs]
        self._rate, self._rated_at = self.jobs_per_second + len(jobs) / _RATE_SECONDS, self.now
        self._jobs_left -= len(jobs)
        self.outcome.ended_at = self.now
        worker.jobs = []
        if worker.is_stopping:
            self._remove(worker)
        else:
            self._claim(worker)

    def _stop(self, worker: SimulatedWorker) -> None:
        worker.is_stopping = True
        if not worker.jobs:
            self._remove(worker)
            return
        self.outcome.stopped_busy += 1
        if worker.ends > self.now + GRACE_SECONDS:
            self.call_at(self.now + GRACE_SECONDS, lambda: self._cut(worker))

    def _cut(self, worker: SimulatedWorker) -> None:
        self.outcome.cut_runs += 1
        self.outcome.lost_seconds += self.now - worker.began
        jobs, worker.jobs = worker.jobs, []
        self._remove(worker)
        for job in reversed(jobs):
            self.waiting.appendleft(job)
        self._wake()

    def _remove(self, worker: SimulatedWorker) -> None:
        self.workers.remove(worker)
        self.outcome.worker_seconds += self.now - worker.created_at
