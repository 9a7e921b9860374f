"""What follows from the paces of workers by itself."""

from collections.abc import Iterable
from statistics import fmean

from inferq.jobs import Pace
from inferq.queue.inspection.workload import LiveWorker

SHORTEST_SECONDS = 1e-6
"""No job is taken to cost less."""


def average_paces(workers: Iterable[LiveWorker]) -> dict[str, Pace]:
    """Returns the mean pace of each model, over the workers that have run it."""
    known: dict[str, list[Pace]] = {}
    for worker in workers:
        for model in worker.models:
            if model in worker.paces:
                known.setdefault(model, []).append(worker.paces[model])
    return {
        model: Pace(
            fmean(pace.fixed_seconds for pace in paces),
            fmean(pace.job_seconds for pace in paces),
            max(1, round(fmean(pace.most_jobs for pace in paces))),
            fmean(pace.byte_seconds for pace in paces),
            fmean(pace.job_bytes for pace in paces),
        )
        for model, paces in known.items()
    }


def estimate_job_seconds(pace: Pace) -> float:
    """Returns what a job costs, in seconds, where as many wait as a claim may take."""
    return max(SHORTEST_SECONDS, pace.estimate_seconds(pace.most_jobs) / pace.most_jobs)


def correct_end(began: float, seconds: float, now: float) -> float:
    """Returns when a run ends that has not ended yet.

    Args:
        began: When it began.
        seconds: How long such a run takes.
        now: The time. A run that is late by then may take as long again as it is late, but no longer than
            one that begins now.
    """
    end = began + seconds
    late = now - end
    return end if late < 0 else now + min(late, seconds) if seconds else now + late
