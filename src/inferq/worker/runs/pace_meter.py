"""How long a worker takes for its claims: from this others can tell when a job that waits will be taken."""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from inferq.jobs import Pace
from inferq.worker.runs.run_cost import RunCost

_MOST_RUNS = 128
"""Of more runs between two heartbeats only the latest count."""
_NEW_SHARE = 0.1
"""How much the latest run counts: jobs of one model may differ, and the mean of many is asked for."""
_SMALL_DIFFERENCE = 0.1
"""Jobs that differ by a smaller share of their size tell little of what size costs."""
_LONGEST_GAP_SECONDS = 0.1
"""More between two runs is no cost of the first, but an outage."""


class _Run(NamedTuple):
    model: str
    jobs: int
    size: int
    began: float
    ended: float
    follows_wait: bool


class _SizeCost:
    """What each byte costs that a job's data has more than the mean, by how runs differ in both.

    Args:
        job_bytes: Mean size of the jobs in the first run, bytes.
    """

    def __init__(self, job_bytes: float) -> None:
        self.job_bytes = job_bytes
        self._spread = 0.0
        self._together = 0.0
        self._runs = 0

    def add(self, job_bytes: float, excess_seconds: float) -> None:
        """Notes a run.

        Args:
            job_bytes: Mean size of its jobs, bytes.
            excess_seconds: How much longer it took than was expected, for each job.
        """
        self._runs += 1
        share = max(_NEW_SHARE, 1 / self._runs)
        more = job_bytes - self.job_bytes
        self._spread += share * (more**2 - self._spread)
        self._together += share * (more * excess_seconds - self._together)
        self.job_bytes += share * more

    def estimate(self, job_seconds: float) -> float:
        """Returns seconds per byte, by least squares; not negative, and no more than in proportion.

        Args:
            job_seconds: What a job of mean size costs.
        """
        spread = self._spread + (_SMALL_DIFFERENCE * self.job_bytes) ** 2
        return min(max(0.0, self._together / spread), job_seconds / self.job_bytes) if spread else 0.0


class PaceMeter:
    """Learns what claims of each model cost: their run, and all until the next run where jobs wait.

    The processor notes runs, which takes it less than a microsecond; the heartbeat reads what follows.
    """

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque(maxlen=_MOST_RUNS)
        self._costs: dict[str, RunCost] = {}
        self._size_costs: dict[str, _SizeCost] = {}
        self._has_waited = True

    def note_wait(self) -> None:
        """Notes that the next run does not follow at once: the worker waits for jobs."""
        self._has_waited = True

    def note_run(self, model: str, jobs: int, size: int, began: float, ended: float) -> None:
        """Notes the run of a claim.

        Args:
            model: Model name.
            jobs: How many jobs the claim brought.
            size: Bytes of their data.
            began: When it began, by any clock that goes on evenly, seconds.
            ended: When it ended.
        """
        self._runs.append(_Run(model, jobs, size, began, ended, self._has_waited))
        self._has_waited = False

    def read(self, most_jobs: Mapping[str, int]) -> dict[str, Pace]:
        """Returns the pace of each model that is served and has had a run. For one other thread.

        Args:
            most_jobs: Model name to how many jobs a claim asks for, of all that are served.
        """
        runs = [self._runs.popleft() for _ in range(len(self._runs))]
        for run, following in zip(runs, [*runs, None][1:], strict=True):
            seconds = run.ended - run.began
            if following is not None and not following.follows_wait:
                seconds = min(following.began - run.began, seconds + _LONGEST_GAP_SECONDS)
            self._learn(run, max(0.0, seconds))
        for model in self._costs.keys() - most_jobs.keys():
            del self._costs[model], self._size_costs[model]
        paces = {model: self._estimate(model, most_jobs[model]) for model in self._costs}
        return {model: pace for model, pace in paces.items() if all(map(math.isfinite, pace))}

    def _learn(self, run: _Run, seconds: float) -> None:
        cost = self._costs.setdefault(run.model, RunCost(_NEW_SHARE))
        job_bytes = run.size / run.jobs
        size_cost = self._size_costs.setdefault(run.model, _SizeCost(job_bytes))
        size_cost.add(job_bytes, (seconds - cost.estimate().seconds(run.jobs)) / run.jobs)
        cost.add(run.jobs, seconds)

    def _estimate(self, model: str, most_jobs: int) -> Pace:
        cost, size_cost = self._costs[model].estimate(), self._size_costs[model]
        byte_seconds = size_cost.estimate(cost.seconds(1))
        return Pace(cost.fixed, cost.per_row, most_jobs, byte_seconds, size_cost.job_bytes)
