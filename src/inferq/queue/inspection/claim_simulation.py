"""The claims to come, simulated as workers will make them.

Workers take the jobs of a list in their order, models in turn, priorities by weight, and as many in a claim
as they have told. So a few hundred claims are simulated one by one; how long the jobs behind them have to
wait follows from how fast the workers are together. Nothing here waits or asks a clock.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf
from statistics import fmean
from typing import NamedTuple

from inferq.jobs import Pace, Priority
from inferq.queue.inspection.contention import Contention
from inferq.queue.inspection.paces import SHORTEST_SECONDS, average_paces, correct_end
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, RunningClaim, Workload
from inferq.queue.weighted_priorities import WeightedPriorities

_MOST_CLAIMS = 128
"""Most claims that are simulated: some 5 µs each."""
HIGHER_THAN = {priority: tuple(Priority)[:number] for number, priority in enumerate(Priority)}
"""The priorities of which jobs are taken before those of each."""


class Span(NamedTuple):
    """From when a worker takes a job until it will have ended, in seconds since 1970."""

    start: float
    end: float


@dataclass(slots=True)
class _List:
    """One list of jobs, and the simulated claims from it.

    Attributes:
        left: Jobs that no claim has taken so far.
        taken: How many jobs the first claims have taken, for each number of claims.
        starts: When each claim is made.
        ends: When its jobs have ended.
    """

    left: int = 0
    taken: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    @property
    def taken_count(self) -> int:
        return self.taken[-1] if self.taken else 0

    def take(self, most: int, start: float) -> int:
        count = min(most, self.left)
        if count:
            self.left -= count
            self.taken.append(self.taken_count + count)
            self.starts.append(start)
        return count

    def count_taken_by(self, moment: float) -> int:
        return self._count_taken(bisect_right(self.starts, moment))

    def count_taken_at(self, moment: float) -> int:
        return self.count_taken_by(moment) - self._count_taken(bisect_left(self.starts, moment))

    def _count_taken(self, claims: int) -> int:
        return self.taken[claims - 1] if claims else 0


@dataclass(slots=True)
class _Worker:
    """A worker in the simulation.

    Attributes:
        paces: Name to pace of the models that it serves, the next one first.
        busy_until: When what it has claimed has ended.
    """

    paces: dict[str, Pace]
    weights: WeightedPriorities
    busy_until: float


class _SimulatedClaim(NamedTuple):
    """A claim that was simulated.

    Attributes:
        at: When it is made.
        worker: Index of its worker.
        began: When the run of its jobs begins.
        priority: Priority of the jobs that it was made for; those behind come along.
    """

    at: float
    worker: int
    began: float
    priority: Priority


class ClaimSimulation:
    """Simulates claims as far as they are asked for.

    Args:
        workload: What waits and runs, and who works.
        lower_priority_share: See `WeightedPriorities`.

    Attributes:
        mean_paces: Name to pace of each model, the mean of the workers that have run it.
    """

    def __init__(self, workload: Workload, lower_priority_share: float) -> None:
        self.mean_paces = average_paces(workload.workers)
        self._at = workload.at
        self._share = lower_priority_share
        self._lists = {
            (model, priority): _List(count)
            for model, load in workload.models.items()
            for priority, count in load.waiting.items()
        }
        self._ends: dict[tuple[str, int], float] = {}
        self._workers: list[_Worker] = []
        self._due: list[tuple[float, int]] = []  # when each claims next, and its index
        self._idle: list[tuple[float, int]] = []  # those for whom nothing waits
        claims = _sort_claims(workload.models)
        for worker in workload.workers:
            self._add_worker(worker, claims.get(worker.id, ()))
        heapify(self._due)
        self._claims_left = _MOST_CLAIMS
        self._simulated: list[_SimulatedClaim] = []  # the earliest first
        self._contention: Contention | None = None
        self._free_at: dict[str, float] = {}  # when the workers of a model are free, on average

    def find_end(self, worker_id: str, started_ms: int) -> float | None:
        """Returns when the jobs of a claim that runs will have ended; None for a claim that is not known."""
        return self._ends.get((worker_id, started_ms))

    def find_pace(self, worker: LiveWorker, model: str) -> Pace | None:
        """Returns a worker's pace with a model: its own, or the mean of others; None where there is none."""
        return worker.paces.get(model) or self.mean_paces.get(model)

    def count_taken(self, model: str, priority: Priority, now: float) -> int:
        """Returns how many jobs of a list have been taken by now, since the workload was read."""
        while self._due and self._due[0][0] <= now and self._claims_left:
            self._simulate_claim()
        jobs = self._lists.get((model, priority))
        return 0 if jobs is None else jobs.count_taken_by(now) - jobs.count_taken_by(self._at)

    def find(self, model: str, priority: Priority, index: int, now: float) -> Span | None:
        """Finds when a job is taken, and has ended.

        Args:
            model: Its model.
            priority: Its priority.
            index: How many jobs of its list stood before it when the workload was read.
            now: The time, for a job that came later.

        Returns:
            The times; None where no worker serves the model, or none has run it yet.
        """
        if model not in self.mean_paces:
            return None
        jobs = self._lists.get((model, priority))
        if jobs is None:
            jobs = self._lists[model, priority] = _List()
        missing = index + 1 - jobs.taken_count - jobs.left
        if missing > 0:
            is_empty = not jobs.left
            jobs.left += missing
            if is_empty:
                self._take_late(model, priority, now)
            for at, number in self._idle:
                heappush(self._due, (max(at, now), number))
            self._idle.clear()
        while jobs.taken_count <= index and self._claims_left and self._due:
            self._simulate_claim()
        if jobs.taken_count > index:
            claim = bisect_right(jobs.taken, index)
            start = max(now, jobs.starts[claim])
            return Span(start, max(start, jobs.ends[claim]))
        return self._estimate(model, priority, index - jobs.taken_count, now)

    def _add_worker(self, worker: LiveWorker, claims: Iterable[tuple[str, RunningClaim]]) -> None:
        """Adds a worker with what it runs; its first claim runs, the others were claimed ahead."""
        at = self._at
        known = ((model, self.find_pace(worker, model)) for model in worker.models)
        paces = {model: pace for model, pace in known if pace is not None}
        next_claim = busy_until = at
        held = list(claims)
        for number, (model, claim) in enumerate(held):
            pace = paces.get(model)
            if pace is not None:
                paces[model] = paces.pop(model)  # its next turn comes after the others'
            seconds = pace.estimate_seconds(claim.jobs, claim.first_bytes) if pace else 0.0
            if number == 0:  # the next claim is made when a run begins
                began = held[min(1, len(held) - 1)][1].started_ms / 1000
                end = correct_end(began, seconds, at)
            else:
                began = busy_until
                end = began + seconds
            self._ends[worker.id, claim.started_ms] = busy_until = end
            is_full = pace is not None and 1 < pace.most_jobs <= claim.jobs
            next_claim = max(at, began) if is_full else end
        self._due.append((next_claim, len(self._workers)))
        self._workers.append(_Worker(paces, WeightedPriorities(self._share), busy_until))

    def _simulate_claim(self) -> None:
        """Lets the worker claim whose turn it is."""
        at, number = heappop(self._due)
        worker = self._workers[number]
        order = worker.weights.next_order()
        lists = self._lists
        found = next(
            (
                (model, priority)
                for priority in order
                for model in worker.paces
                if (jobs := lists.get((model, priority))) is not None and jobs.left
            ),
            None,
        )
        if found is None:
            self._idle.append((at, number))
            return
        model, priority = found
        self._claims_left -= 1
        pace = worker.paces[model] = worker.paces.pop(model)  # its next turn comes after the others'
        used = [lists[model, priority] for priority in order if (model, priority) in lists]
        counts: list[int] = []
        for jobs in used:
            counts.append(jobs.take(pace.most_jobs - sum(counts), at))
        began = max(at, worker.busy_until)
        worker.busy_until = began + max(SHORTEST_SECONDS, pace.estimate_seconds(sum(counts)))
        for jobs, count in zip(used, counts, strict=True):
            if count:
                jobs.ends.append(worker.busy_until)
        insort(self._simulated, _SimulatedClaim(at, number, began, priority))
        is_full = 1 < pace.most_jobs == sum(counts)
        heappush(self._due, (began if is_full else worker.busy_until, number))

    def _take_late(self, model: str, priority: Priority, now: float) -> None:
        """Lets simulated claims take jobs that have come since to a list that was empty.

        Their model has the next turn of each of its workers. That others have theirs later for it, the next
        workload tells.
        """
        jobs = self._lists[model, priority]
        earliest = max(now, jobs.starts[-1]) if jobs.starts else now
        idle_at = min((at for at, number in self._idle if model in self._workers[number].paces), default=inf)
        for claim in self._simulated[bisect_left(self._simulated, (earliest,)) :]:
            if not jobs.left or claim.at >= idle_at:
                return
            pace = self._workers[claim.worker].paces.get(model)
            if pace is None or claim.priority in HIGHER_THAN[priority]:
                continue
            if count := jobs.take(pace.most_jobs - jobs.count_taken_at(claim.at), claim.at):
                jobs.ends.append(claim.began + pace.estimate_seconds(count))

    def _estimate(self, model: str, priority: Priority, before: int, now: float) -> Span | None:
        """Estimates the same behind all simulated claims, where so many jobs of the list come first."""
        contention = self._contention = self._contention or self._measure_contention()
        if model not in self._free_at:
            self._free_at[model] = fmean(one.busy_until for one in self._workers if model in one.paces)
        higher = HIGHER_THAN[priority]
        jobs_before = float(before + sum(self._count_left(model, each) for each in higher))
        if self._share and higher:
            jobs_before = min(jobs_before, before / self._share)
        seconds = jobs_before * contention.get_job_seconds(model)
        seconds += contention.measure_others(model, priority, jobs_before)
        start = max(now, self._free_at[model] + seconds)
        pace = self.mean_paces[model]
        return Span(start, start + pace.estimate_seconds(pace.most_jobs))

    def _measure_contention(self) -> Contention:
        return Contention(
            [worker.paces for worker in self._workers],
            {model: pace.most_jobs for model, pace in self.mean_paces.items()},
            {key: jobs.left for key, jobs in self._lists.items()},
            HIGHER_THAN,
        )

    def _count_left(self, model: str, priority: Priority) -> int:
        jobs = self._lists.get((model, priority))
        return 0 if jobs is None else jobs.left


def _sort_claims(models: Mapping[str, ModelLoad]) -> dict[str, list[tuple[str, RunningClaim]]]:
    """The claims of each worker, each with its model, the earliest first."""
    found: dict[str, list[tuple[str, RunningClaim]]] = {}
    for model, load in models.items():
        for claim in load.claims:
            found.setdefault(claim.worker, []).append((model, claim))
    return {worker: sorted(claims, key=lambda one: one[1].started_ms) for worker, claims in found.items()}
