"""How long a worker takes for its claims: from this others can tell when a job that waits will be taken."""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from inferq.jobs import Pace
from inferq.worker.run_cost import RunCost

_MOST_RUNS = 128
"""Of more runs between two heartbeats only the latest count."""
_NEW_SHARE = 0.1
"""How much the latest run counts: jobs of one model may differ, and the mean of many is asked for."""
_LONGEST_GAP_SECONDS = 0.1
"""More between two runs is no cost of the first, but an outage."""


class _Run(NamedTuple):
    model: str
    jobs: int
    began: float
    ended: float
    follows_wait: bool


class PaceMeter:
    """Learns what claims of each model cost: their run, and all until the next run where jobs wait.

    The processor notes runs, which takes it less than a microsecond; the heartbeat reads what follows.
    """

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque(maxlen=_MOST_RUNS)
        self._costs: dict[str, RunCost] = {}
        self._has_waited = True

    def note_wait(self) -> None:
        """Notes that the next run does not follow at once: the worker waits for jobs."""
        self._has_waited = True

    def note_run(self, model: str, jobs: int, began: float, ended: float) -> None:
        """Notes the run of a claim.

        Args:
            model: Model name.
            jobs: How many jobs the claim brought.
            began: When it began, by any clock that goes on evenly, seconds.
            ended: When it ended.
        """
        self._runs.append(_Run(model, jobs, began, ended, self._has_waited))
        self._has_waited = False

    def read(self, most_jobs: Mapping[str, int]) -> dict[str, Pace]:
        """Returns the pace of each model that has had a run. For one other thread.

        Args:
            most_jobs: Model name to how many jobs a claim asks for.
        """
        runs = [self._runs.popleft() for _ in range(len(self._runs))]
        for run, following in zip(runs, [*runs, None][1:], strict=True):
            seconds = run.ended - run.began
            if following is not None and not following.follows_wait:
                seconds = min(following.began - run.began, seconds + _LONGEST_GAP_SECONDS)
            self._costs.setdefault(run.model, RunCost(_NEW_SHARE)).add(run.jobs, max(0.0, seconds))
        learned = {model: cost.estimate() for model, cost in self._costs.items()}
        return {
            model: Pace(cost.fixed, cost.per_row, most_jobs.get(model, 1))
            for model, cost in learned.items()
            if math.isfinite(cost.fixed + cost.per_row)
        }
