"""How long jobs of other models keep the workers of a model busy, behind all claims that were simulated.

The work of all other models, as a function of how many claims they have, is computed once for all models that
the same workers serve: with a thousand models, to add up each of them for each other takes minutes.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from inferq.jobs import Pace, Priority
from inferq.queue.inspection.paces import estimate_job_seconds


class _ModelWork(NamedTuple):
    """The work that is left of one model.

    Attributes:
        claims: In how many claims the jobs of a priority are taken.
        claim_seconds: How long a claim keeps the workers of the model busy.
        at_once_seconds: How long its jobs of higher priorities do.
        workers: Those workers, a bit for each.
    """

    claims: float
    claim_seconds: float
    at_once_seconds: float
    workers: int


class _Work:
    """How long the jobs of some models take, by the number of claims that each model has.

    Args:
        models: The models, that with the fewest claims first, each with the share of its work that counts.
    """

    def __init__(self, models: Sequence[tuple[_ModelWork, float]]) -> None:
        at_once = sum(model.at_once_seconds * share for model, share in models)
        seconds = [model.claim_seconds * share for model, share in models]
        self._claims = [model.claims for model, _ in models]
        self._done = list(accumulate(map(mul, self._claims, seconds), initial=at_once))
        self._going_on = list(accumulate(reversed(seconds), initial=0.0))[::-1]

    def measure_seconds(self, claims: float) -> float:
        """Returns how long it takes until each model has had so many claims, or has nothing left."""
        ended = bisect_right(self._claims, claims)
        seconds: float = self._done[ended] + claims * self._going_on[ended]
        return seconds


class Contention:
    """Tells what the jobs of other models cost those of one.

    Args:
        workers: For each worker: name to pace of the models that it serves.
        most_jobs: How many jobs of each model a claim takes.
        left: How many jobs of each model and priority are left.
        higher_than: The priorities of which jobs are taken before those of each.
    """

    def __init__(
        self,
        workers: Sequence[Mapping[str, Pace]],
        most_jobs: Mapping[str, int],
        left: Mapping[tuple[str, Priority], int],
        higher_than: Mapping[Priority, Sequence[Priority]],
    ) -> None:
        self._most_jobs = most_jobs
        self._left = left
        self._higher_than = higher_than
        self._serving: dict[str, int] = {}  # a bit for each worker
        self._rates: dict[str, float] = {}
        for number, paces in enumerate(workers):
            for model, pace in paces.items():
                self._serving[model] = self._serving.get(model, 0) | 1 << number
                self._rates[model] = self._rates.get(model, 0.0) + 1 / estimate_job_seconds(pace)
        models = {model for (model, _), count in left.items() if count and model in self._rates}
        self._models = {
            priority: {model: self._describe(model, priority) for model in models} for priority in higher_than
        }
        self._in_order = {priority: sorted(works.values()) for priority, works in self._models.items()}
        self._works: dict[tuple[int, Priority], _Work] = {}

    def get_job_seconds(self, model: str) -> float:
        """Returns how long all workers of a model together take for a job, if they do nothing else."""
        return 1 / self._rates[model]

    def measure_others(self, model: str, priority: Priority, jobs_before: float) -> float:
        """Returns for how long the jobs of other models keep the workers of a model busy.

        Args:
            model: The model, which a worker serves.
            priority: Priority of the model's jobs; those of others that are higher come before them.
            jobs_before: How many of its jobs are taken meanwhile, a claim of each model after the other.
        """
        workers, claims = self._serving[model], jobs_before / self._most_jobs[model]
        if (workers, priority) not in self._works:
            self._works[workers, priority] = self._add_up(workers, priority)
        together = self._works[workers, priority].measure_seconds(claims)
        own = self._models[priority].get(model)
        return max(0.0, together - (_Work([(own, 1.0)]).measure_seconds(claims) if own else 0.0))

    def _describe(self, model: str, priority: Priority) -> _ModelWork:
        most_jobs, job_seconds = self._most_jobs[model], self.get_job_seconds(model)
        first = sum(self._left.get((model, higher), 0) for higher in self._higher_than[priority])
        claims = self._left.get((model, priority), 0) / most_jobs
        return _ModelWork(claims, most_jobs * job_seconds, first * job_seconds, self._serving[model])

    def _add_up(self, workers: int, priority: Priority) -> _Work:
        """Adds up the work of all models, as far as these workers do it."""
        count = workers.bit_count()
        shares = (
            (model, (workers & model.workers).bit_count() / count) for model in self._in_order[priority]
        )
        return _Work([(model, share) for model, share in shares if share])
