"""How many workers a model needs so that its jobs do not wait too long: what an autoscaler reads."""

from collections.abc import Mapping, Sequence
from math import ceil

from inferq.jobs import LONG_RUN_SECONDS, Pace
from inferq.queue.inspection.paces import estimate_job_seconds
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, RunningClaim

_SMALL_LOAD = 0.05
"""A worker that would be busy for a smaller share of its time is not needed."""


def count_needed_workers(
    load: ModelLoad,
    workers: Sequence[LiveWorker],
    paces: Mapping[str, Pace],
    mean_pace: Pace | None,
    *,
    at: float,
    jobs_per_second: float,
    wait_seconds: float,
) -> int:
    """Returns how many workers keep up with what comes, or take in time what waits, whichever are more.

    Those that are in a long run are needed until it is over, and what waits is for others to take. The rest
    of a large job, which workers share, counts as work that waits.

    Args:
        load: What waits and runs of the model.
        workers: The live workers that serve it.
        paces: Worker id to its pace with the model, of those that have run it.
        mean_pace: Their mean, or what it was when there were some; None where no run has shown it yet.
        at: When all of this was so, seconds since 1970.
        jobs_per_second: How many jobs have ended recently: as many are expected to come.
        wait_seconds: The longest wait wished for.

    Returns:
        The number; at least 1 where a job waits or runs. Where no run has shown what a job costs, as many as
        there are; more where the first run lasts, since a job costs as much as that has so far.
    """
    waiting = sum(load.waiting.values())
    if not waiting and not load.claims and mean_pace is None:
        return 0
    large = [claim for claim in load.claims if claim.left_chunks]
    shared = sum(min(one.left_chunks, max(1.0, one.left_seconds / wait_seconds)) for one in large)
    long = _count_long_runs([one for one in load.claims if not one.left_chunks], paces, mean_pace, at)
    if mean_pace is None:
        seconds = max((_measure_age(claim, at) / max(1, claim.jobs) for claim in load.claims), default=0.0)
        kept_up = float(len(workers))
    elif (seconds := estimate_job_seconds(mean_pace)) > LONG_RUN_SECONDS:
        kept_up = float(len({claim.worker for claim in load.claims}))
    else:
        # those that there are cannot have ended more, whatever the mean says
        kept_up = min(jobs_per_second * seconds, float(len(workers)))
    # however short the wait, more than one for each job does not help
    in_time = long + shared + min(float(waiting), waiting * (seconds / wait_seconds) if waiting else 0.0)
    return max(1 if waiting or load.claims else 0, ceil(max(kept_up, in_time) - _SMALL_LOAD))


def _count_long_runs(
    claims: Sequence[RunningClaim], paces: Mapping[str, Pace], mean_pace: Pace | None, at: float
) -> int:
    """How many workers are in a run that lasts long, as is expected or as has been seen."""
    busy = set()
    for claim in claims:
        pace = paces.get(claim.worker, mean_pace)
        expected = pace.estimate_seconds(claim.jobs, claim.first_bytes) if pace else 0.0
        if max(expected, _measure_age(claim, at)) > LONG_RUN_SECONDS:
            busy.add(claim.worker)
    return len(busy)


def _measure_age(claim: RunningClaim, at: float) -> float:
    return max(0.0, at - claim.started_ms / 1000)
