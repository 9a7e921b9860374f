"""When jobs will be taken and will have ended, and how many workers it takes that they do not wait too long.

Nothing here waits or asks a clock.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inferq.jobs import Job, Pace, Priority, Status
from inferq.queue.inspection.claim_simulation import HIGHER_THAN, ClaimSimulation, Span
from inferq.queue.inspection.needed_workers import count_needed_workers
from inferq.queue.inspection.paces import correct_end
from inferq.queue.inspection.workload import ModelLoad, Workload
from inferq.queue.inspection.workload_sum import add_workloads

_NOTHING = ModelLoad(dict.fromkeys(Priority, 0))


class Expectation(NamedTuple):
    """What is expected of a job, in seconds since 1970.

    Attributes:
        start: When a worker will take it; None where one has.
        end: When it will have ended.
    """

    start: float | None
    end: float


class Backlog(NamedTuple):
    """How much there is to do for the workers of a model.

    Attributes:
        seconds: In how many seconds the present workers will have taken all that waits; None where that
            cannot be told.
        needed_workers: How many workers the wished wait needs; None where none is wished.
    """

    seconds: float | None
    needed_workers: int | None


class Forecast:
    """What is expected of the jobs of one moment, and of those that have come since.

    Args:
        workload: What waits and runs, and who works, at that moment; of one shard, where there are several.
        lower_priority_share: See `WeightedPriorities`.
        earlier_paces: Name to pace of models that no live worker has run, from when one had.
        others: The workloads of the other shards, whose jobs the same workers run in turn.
    """

    def __init__(
        self,
        workload: Workload,
        lower_priority_share: float,
        earlier_paces: Mapping[str, Pace] | None = None,
        others: Sequence[Workload] = (),
    ) -> None:
        self._own = workload
        self._others = others
        self._workload = add_workloads(workload, others) if others else workload
        self._earlier_paces = earlier_paces or {}
        self._simulation = ClaimSimulation(self._workload, lower_priority_share)

    def expect(self, job: Job, now: float) -> Expectation | None:
        """Returns what is expected of a job.

        Args:
            job: As it was read, not long after the workload.
            now: The time by the server's clock, seconds since 1970.

        Returns:
            The expectation; None where nothing can be known: the job has ended, waits for another attempt, is
            run by a program from outside, or no worker serves its model, or none has run it yet.
        """
        if job.status is Status.PROCESSING:
            end = self._expect_end(job, now)
            return None if end is None else Expectation(None, end)
        if job.status is not Status.PENDING or job.model is None or job.queue_position is None:
            return None
        if job.history and job.history[-1].kind is not None:
            return None
        index = job.queue_position - 1
        for priority in HIGHER_THAN[job.priority]:
            index -= self._load_own(job.model).waiting[priority]
        # what has been taken since the workload was read stood before it
        taken = self._count_own_taken(job.model, job.priority, now)
        index = self._count_before(job.model, job.priority, max(0, index) + taken)
        span = self._simulation.find(job.model, job.priority, index, now)
        return None if span is None else Expectation(*span)

    def expect_new(self, model: str, priority: Priority, now: float, jobs_before: int = 0) -> Span | None:
        """Returns what is expected of a job that is submitted now, behind so many others that are, too."""
        own = self._load_own(model).waiting[priority] + jobs_before
        return self._simulation.find(model, priority, self._count_before(model, priority, own), now)

    def measure_backlog(self, model: str, jobs_per_second: float, wait_seconds: float | None) -> Backlog:
        """Returns how much there is to do for the workers of a model.

        Args:
            model: Model name.
            jobs_per_second: How many have ended recently: as many are expected to come.
            wait_seconds: The longest wait wished for; None if there is no such wish.
        """
        needed = None if wait_seconds is None else self._count_needed(model, wait_seconds, jobs_per_second)
        return Backlog(self._estimate_backlog_seconds(model), needed)

    def _estimate_backlog_seconds(self, model: str) -> float | None:
        at = self._workload.at
        spans = [
            self._simulation.find(model, priority, count - 1, at)
            for priority, count in self._load(model).waiting.items()
            if count
        ]
        if None in spans or model not in self._simulation.mean_paces:
            return None
        return max((span.start - at for span in spans if span), default=0.0)

    def _count_needed(self, model: str, wait_seconds: float, jobs_per_second: float) -> int:
        workers = [worker for worker in self._workload.workers if model in worker.models]
        return count_needed_workers(
            self._load(model),
            workers,
            {worker.id: worker.paces[model] for worker in workers if model in worker.paces},
            self._simulation.mean_paces.get(model) or self._earlier_paces.get(model),
            at=self._workload.at,
            jobs_per_second=jobs_per_second,
            wait_seconds=wait_seconds,
        )

    def _expect_end(self, job: Job, now: float) -> float | None:
        """When a job that runs will have ended."""
        attempt = job.history[-1] if job.history else None
        if attempt is None or attempt.started_at is None or attempt.finished_at is not None or not job.model:
            return None
        started = attempt.started_at.timestamp()
        end = self._simulation.find_end(attempt.worker, round(started * 1000))
        if end is not None and end > now:
            return end
        worker = next((one for one in self._workload.workers if one.id == attempt.worker), None)
        pace = self._simulation.find_pace(worker, job.model) if worker else None
        if pace is None:
            return None
        waiting = sum(self._load(job.model).waiting.values())
        return correct_end(started, pace.estimate_seconds(max(1, min(pace.most_jobs, waiting))), now)

    def _count_own_taken(self, model: str, priority: Priority, now: float) -> int:
        """How many jobs of a list of this shard have been taken by now, of those that all shards had."""
        taken = self._simulation.count_taken(model, priority, now)
        if not self._others or not taken:
            return taken
        own, all_ = (load.waiting[priority] for load in (self._load_own(model), self._load(model)))
        return round(taken * own / all_) if all_ else 0

    def _count_before(self, model: str, priority: Priority, index: int) -> int:
        """How many jobs of all shards are taken before one of this: workers take from the shards in turn."""
        waiting = (other.models.get(model, _NOTHING).waiting[priority] for other in self._others)
        return index + sum(min(index, count) for count in waiting)

    def _load_own(self, model: str) -> ModelLoad:
        return self._own.models.get(model, _NOTHING)

    def _load(self, model: str) -> ModelLoad:
        return self._workload.models.get(model, _NOTHING)
